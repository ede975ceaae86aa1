"""The iSTFT heads have exact lengths, agree with torch and stay finite."""

import pytest
import torch

from vocoder.dsp.stft import Padding, SynthesisPadding, hann_window, istft, overlap_add, stft
from vocoder.errors import ConfigError
from vocoder.nn.head import MAX_MAGNITUDE, ConvISTFTHead, ISTFTHead, columns_per_frame


@pytest.mark.parametrize("padding", ["same", "center", "causal"])
@pytest.mark.parametrize("frames", [1, 2, 7, 31])
@pytest.mark.parametrize(("n_fft", "hop_length"), [(16, 4), (20, 7), (32, 32), (1024, 256)])
def test_length_law(n_fft: int, hop_length: int, frames: int, padding: SynthesisPadding) -> None:
    head = ISTFTHead(3, n_fft=n_fft, hop_length=hop_length, padding=padding)
    samples = hop_length * (frames - (padding == "center"))
    assert head.samples(frames) == samples
    assert head(torch.randn(2, 3, frames)).shape == (2, 1, samples)


@pytest.mark.parametrize("padding", ["same", "center"])
@pytest.mark.parametrize(("n_fft", "hop_length"), [(64, 16), (60, 25), (64, 7)])
def test_istft_inverts_stft(n_fft: int, hop_length: int, padding: Padding) -> None:
    audio, window = torch.randn(2, 40 * hop_length), hann_window(n_fft, n_fft)
    spectrum = stft(audio, window, hop_length=hop_length, padding=padding)
    again = istft(spectrum, window, hop_length=hop_length, padding=padding)
    assert (again - audio).abs().max() < 1e-5


@pytest.mark.parametrize(("n_fft", "hop_length"), [(64, 16), (60, 25), (64, 7)])
def test_causal_istft_delays_the_signal_and_fades_in(n_fft: int, hop_length: int) -> None:
    """Spectra of a signal give the signal where frames begin; only its start is lost."""
    window, late = hann_window(n_fft, n_fft), n_fft - hop_length
    audio = torch.randn(1, 40 * hop_length)
    left = (n_fft - hop_length) // 2  # samples of frame 0 before the signal, for "same"
    spectrum = stft(audio, window, hop_length=hop_length, mode="constant")
    again = istft(spectrum, window, hop_length=hop_length, padding="causal")
    assert again.shape == audio.shape
    assert (again[:, late:] - audio[:, late - left : -left]).abs().max() < 1e-5
    assert again.abs().max() <= 1.5 * audio.abs().max()


def test_causal_istft_does_not_depend_on_later_frames() -> None:
    spectrum = torch.randn(1, 17, 12, dtype=torch.complex64)
    later = spectrum.clone()
    later[..., 7:] *= 2.0
    window = hann_window(32, 32)
    a, b = (istft(s, window, hop_length=8, padding="causal") for s in (spectrum, later))
    assert torch.equal(a[:, : 7 * 8], b[:, : 7 * 8])
    assert not torch.equal(a[:, 7 * 8 : 8 * 8], b[:, 7 * 8 : 8 * 8])


def test_istft_agrees_with_torch() -> None:
    """Also for spectra that no signal has, where the least-squares weights matter."""
    window = hann_window(48, 48)
    spectrum = torch.randn(2, 25, 30, dtype=torch.complex64)
    ours = istft(spectrum, window, hop_length=12, padding="center")
    theirs = torch.istft(spectrum, 48, 12, window=window)
    assert (ours - theirs).abs().max() < 1e-5


@pytest.mark.parametrize(("size", "hop_length"), [(8, 2), (7, 3), (5, 5), (3, 1), (4, 6)])
def test_overlap_add_is_the_sum_of_shifted_frames(size: int, hop_length: int) -> None:
    frames = torch.randn(2, 6, size)
    total = torch.zeros(2, 5 * hop_length + size)
    for index in range(6):
        total[:, index * hop_length : index * hop_length + size] += frames[:, index]
    assert torch.allclose(overlap_add(frames, hop_length), total, atol=1e-6)


def test_magnitude_is_bounded_and_gradients_finite() -> None:
    head = ISTFTHead(2, n_fft=16, hop_length=4, padding="same")
    x = torch.full((1, 2, 8), 1e6, requires_grad=True)
    audio = head(x)
    audio.square().sum().backward()
    # No frame exceeds the bound, and the least-squares mean of windowed frames overshoots a little.
    assert audio.abs().max() <= 2 * MAX_MAGNITUDE
    gradients = [x.grad, *(parameter.grad for parameter in head.parameters())]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_transform_is_float32_after_a_half_precision_layer() -> None:
    head = ISTFTHead(4, n_fft=64, hop_length=16, padding="same")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert head(torch.randn(1, 4, 5)).dtype == torch.float32
    head.out.bfloat16()
    assert head(torch.randn(1, 4, 5).bfloat16()).dtype == torch.float32


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_fft": 15, "hop_length": 4, "padding": "same"}, "choose an even n_fft"),
        ({"n_fft": 16, "hop_length": 17, "padding": "same"}, "a hop between 1 and n_fft"),
        ({"n_fft": 16, "hop_length": 4, "padding": "reflect"}, "choose 'same', 'center'"),
    ],
)
def test_impossible_settings_are_errors(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ISTFTHead(2, **settings)


def test_conv_head_is_a_convolution_and_the_inverse_stft() -> None:
    """The magnitude is the exponential of one half, the phase the sine of the other."""
    head, hidden = ConvISTFTHead(3, n_fft=16, hop_length=4), torch.randn(2, 3, 9)
    bins = torch.nn.functional.conv1d(hidden, head.out.weight, head.out.bias, padding=3)
    spectrum = torch.exp(bins[:, :9]) * torch.exp(1j * torch.sin(bins[:, 9:]))
    expected = torch.istft(spectrum, 16, 4, window=torch.hann_window(16))
    assert expected.shape == (2, head.samples(9))
    assert (head(hidden)[:, 0] - expected).abs().max() < 1e-5


def test_columns_per_frame_is_the_product_of_the_rates() -> None:
    assert columns_per_frame([8, 8], istft_hop_length=4, hop_length=256) == 64
    message = r"rates \[8, 8\] and istft_hop_length 5 upsample by 320 but hop_length is 256"
    with pytest.raises(ConfigError, match=message):
        columns_per_frame([8, 8], istft_hop_length=5, hop_length=256)
