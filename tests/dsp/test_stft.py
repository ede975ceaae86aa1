"""Frame laws and identities of the STFT, for any length, hop and window."""

import librosa
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings, strategies as st
from torch import Tensor

from vocoder.dsp.stft import (
    Padding,
    hann_window,
    istft,
    overlap_add,
    pad_reflect,
    padding_amounts,
    stft,
)

PADDINGS: tuple[Padding, ...] = ("same", "center")
padding_modes = st.sampled_from(PADDINGS)
laws = settings(deadline=None, max_examples=60)


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


@laws
@given(
    n_fft=st.integers(2, 70), hop=st.integers(1, 70), more=st.integers(0, 200), mode=padding_modes
)
def test_frame_law(n_fft: int, hop: int, more: int, mode: Padding) -> None:
    """Odd sizes and signals shorter than the window included."""
    hop = min(hop, n_fft)
    samples = hop + more
    spectrum = stft(noise(2, samples), hann_window(n_fft, n_fft), hop_length=hop, padding=mode)
    assert spectrum.shape == (2, n_fft // 2 + 1, samples // hop + (mode == "center"))


@laws
@given(
    hop=st.integers(1, 20),
    overlap=st.integers(2, 5),
    odd=st.integers(0, 1),
    zeros=st.integers(0, 9),
    frames=st.integers(1, 12),
    rest=st.integers(0, 19),
    mode=padding_modes,
)
def test_istft_inverts_stft(
    hop: int, overlap: int, odd: int, zeros: int, frames: int, rest: int, mode: Padding
) -> None:
    """Any window from two hops up; samples after the last whole hop are not reconstructed."""
    win_length = overlap * hop + odd
    assume(win_length > 2)  # a Hann window of 2 is one sample
    window = hann_window(win_length, win_length + zeros)
    audio = noise(1, frames * hop + min(rest, hop - 1))
    spectrum = stft(audio, window, hop_length=hop, padding=mode)
    back = istft(spectrum, window, hop_length=hop, padding=mode)
    assert back.shape == (1, frames * hop)
    torch.testing.assert_close(back, audio[:, : frames * hop], rtol=0.0, atol=1e-4)


@pytest.mark.parametrize(("mode", "offset"), [("same", 4), ("center", 0)])
@pytest.mark.parametrize("frame", [0, 1, 7])
def test_frames_are_centered_where_the_law_says(mode: Padding, offset: int, frame: int) -> None:
    """An impulse there passes the window at its peak, which is one."""
    audio = torch.zeros(1, 80)
    audio[0, frame * 8 + offset] = 1.0
    window = hann_window(32, 32)
    levels = stft(audio, window, hop_length=8, padding=mode, mode="constant").abs()
    torch.testing.assert_close(levels[0, :, frame], torch.ones(17))
    assert levels[0, 0].argmax() == frame


@pytest.mark.parametrize(("n_fft", "win_length", "hop"), [(64, 64, 16), (64, 40, 10), (63, 63, 9)])
def test_stft_is_that_of_librosa(n_fft: int, win_length: int, hop: int) -> None:
    audio = noise(1, 500)
    ours = stft(audio, hann_window(win_length, n_fft), hop_length=hop, padding="center")
    theirs = librosa.stft(
        audio[0].numpy(), n_fft=n_fft, hop_length=hop, win_length=win_length, pad_mode="reflect"
    )
    np.testing.assert_allclose(ours[0].numpy()[:, : theirs.shape[1]], theirs, atol=2e-5)


@laws
@given(samples=st.integers(1, 30), left=st.integers(0, 90), right=st.integers(0, 90))
def test_pad_reflect_is_that_of_numpy(samples: int, left: int, right: int) -> None:
    audio = noise(2, samples)
    expected = np.pad(audio.numpy(), ((0, 0), (left, right)), mode="reflect")
    np.testing.assert_array_equal(pad_reflect(audio, left, right).numpy(), expected)


@laws
@given(size=st.integers(1, 40), hop=st.integers(1, 40), frames=st.integers(1, 9))
def test_overlap_add_sums_shifted_frames(size: int, hop: int, frames: int) -> None:
    parts = noise(2, frames, size)
    hop = min(hop, size)
    expected = torch.zeros(2, (frames - 1) * hop + size)
    for f in range(frames):
        expected[:, f * hop : f * hop + size] += parts[:, f]
    torch.testing.assert_close(overlap_add(parts, hop), expected)


@pytest.mark.parametrize("n_fft", [9, 16])
@pytest.mark.parametrize("win_length", [6, 9])
def test_window_is_centered_in_zeros(n_fft: int, win_length: int) -> None:
    window = hann_window(win_length, n_fft)
    left = (n_fft - win_length) // 2
    expected = np.zeros(n_fft)
    expected[left : left + win_length] = 0.5 - 0.5 * np.cos(
        2 * np.pi * np.arange(win_length) / win_length
    )
    np.testing.assert_allclose(window.numpy(), expected, atol=1e-7)


@pytest.mark.parametrize("n_fft", [7, 8])
@pytest.mark.parametrize("hop", [1, 3, 8])
def test_padding_amounts_are_balanced(n_fft: int, hop: int) -> None:
    for mode in PADDINGS:
        left, right = padding_amounts(n_fft, hop, mode)
        assert 0 <= right - left <= 1
        assert left + right == n_fft - (hop if mode == "same" else 0)
