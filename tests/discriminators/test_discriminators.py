"""Laws that hold for every discriminator."""

import copy
import dataclasses
import functools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.build import build
from vocoder.discriminators import melgan_scale
from vocoder.discriminators.dilated import Dilated
from vocoder.discriminators.melgan_scale import MelGANMultiScale
from vocoder.discriminators.output import DiscriminatorOutput, Discriminators, joins_signals
from vocoder.discriminators.period import MultiPeriod, PeriodDiscriminator, fold
from vocoder.discriminators.pqmf import GroupedWaveform, PQMFBands
from vocoder.discriminators.projected import Projected, RandomFeatures
from vocoder.discriminators.scale import MultiScale, halve
from vocoder.discriminators.spectral.amplitude_phase import MultiAmplitude, MultiPhase
from vocoder.discriminators.spectral.band import MultiBand
from vocoder.discriminators.spectral.complex_stft import MultiScaleComplexSTFT
from vocoder.discriminators.spectral.cqt import MultiScaleCQT
from vocoder.discriminators.spectral.resolution import (
    MultiResolution,
    Resolution,
    ResolutionDiscriminator,
    resolutions_from,
)
from vocoder.discriminators.wave_mel import MelMap, MultiRate
from vocoder.discriminators.wavelet import WaveletMultiScale
from vocoder.discriminators.weighted import Weighted
from vocoder.discriminators.window import ConditionalRandomWindow, RandomWindow
from vocoder.errors import ConfigError
from vocoder.features.mel import MelSpec
from vocoder.losses.adversarial import LeastSquares
from vocoder.nn.weight_norm import weights_computed_once
from vocoder.training.run import compose, config_folder


class WithMel(nn.Module):
    """A conditional discriminator with a hop of 8 and 3 mel bands, and one mel for all signals."""

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, audio: Tensor) -> list[DiscriminatorOutput]:
        frames = max(audio.shape[-1] // 8, 1)
        mel = torch.sin(torch.arange(3.0 * frames)).reshape(1, 3, frames)
        return self.discriminator(audio, mel=mel.expand(audio.shape[0], -1, -1))


FEW_BANDS = MelSpec(
    sample_rate=8000, n_fft=128, hop_length=16, win_length=64, n_mels=24, mel_scale="htk"
)
TWO = ((128, 32, 128), (64, 16, 60))
SMALL: dict[str, Callable[[int], nn.Module]] = {
    "period": lambda c: MultiPeriod(periods=(2, 11), channels=2, audio_channels=c),
    "scale": lambda c: MultiScale(channels=16, audio_channels=c),
    "resolution": lambda c: MultiResolution(
        resolutions=((256, 30, 150), (128, 15, 60)), channels=4, audio_channels=c
    ),
    "melgan": lambda c: MelGANMultiScale(
        strides=(4, 2), channels=4, max_channels=16, audio_channels=c
    ),
    "dilated": lambda c: Dilated(layers=4, channels=4, audio_channels=c),
    "cqt": lambda c: MultiScaleCQT(
        sample_rate=8000,
        hop_lengths=(64, 32),
        octaves=(6, 5),
        bins_per_octave=(12, 24),
        channels=4,
        audio_channels=c,
    ),
    "hann resolution": lambda c: MultiResolution(
        resolutions=TWO,
        channels=4,
        audio_channels=c,
        window="hann",
        padding="center",
        halved="frequency",
    ),
    "complex": lambda c: MultiScaleComplexSTFT(resolutions=TWO, channels=4, audio_channels=c),
    "band": lambda c: MultiBand(win_lengths=(128, 64), channels=4, audio_channels=c),
    "amplitude": lambda c: MultiAmplitude(resolutions=TWO, channels=4, audio_channels=c),
    "phase": lambda c: MultiPhase(resolutions=TWO, channels=4, audio_channels=c),
    "spectral norm": lambda c: MultiResolution(
        resolutions=TWO, channels=4, audio_channels=c, norm="spectral"
    ),
    "weighted": lambda c: Weighted(
        MultiPeriod(periods=(2, 3), channels=2, audio_channels=c), weight=0.1
    ),
    "pqmf": lambda c: PQMFBands(channels=1, audio_channels=c),
    "waveform": lambda c: GroupedWaveform(channels=4, audio_channels=c),
    "wavelet": lambda c: WaveletMultiScale(channels=16, audio_channels=c),
    "window": lambda c: RandomWindow(
        windows=(16, 32), factors=((2, 2), (4,)), channels=2, audio_channels=c
    ),
    "conditional window": lambda c: WithMel(
        ConditionalRandomWindow(
            n_mels=3,
            hop_length=8,
            frames=(2, 4),
            factors=((2, 2), (2,)),
            channels=2,
            audio_channels=c,
        )
    ),
    "rates": lambda c: MultiRate(
        sample_rate=8000, rates=(4000, 8000), channels=4, audio_channels=c
    ),
    "mel": lambda c: MelMap(mel=FEW_BANDS, channels=2, audio_channels=c),
    "projected": lambda c: Projected(
        backbone=RandomFeatures(widths=(8, 8, 8), audio_channels=c), channels=2
    ),
}
WITHOUT_LOGITS_AMONG_FEATURE_MAPS = {
    "melgan",
    "dilated",
    "cqt",
    "complex",
    "pqmf",
    "waveform",
    "window",
    "conditional window",
    "rates",
    "mel",
    "projected",
}
SIGNALS: dict[str, Callable[[Tensor], Tensor]] = {
    "silence": torch.zeros_like,
    "impulse": lambda x: torch.zeros_like(x).index_fill(-1, torch.tensor([x.shape[-1] // 2]), 1.0),
    "full-scale": torch.sign,
    "noise": lambda x: 0.1 * x,
}


def output_tensors(outputs: list[DiscriminatorOutput]) -> list[Tensor]:
    return [tensor for output in outputs for tensor in (output.logits, *output.feature_maps)]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(
    ("kind", "millions"),
    [
        (MultiPeriod, 41.09),
        (MultiScale, 29.61),
        (MultiResolution, 0.28),
        (MelGANMultiScale, 16.913859),
        (Dilated, 0.099265),
        (MultiScaleComplexSTFT, 0.28),
        (MultiBand, 1.41),
        (MultiAmplitude, 0.60),
        (MultiPhase, 0.60),
        (PQMFBands, 8.922063),  # with the next one 27.79, as published
        (GroupedWaveform, 18.862913),
        (functools.partial(MultiRate, sample_rate=48000), 22.543620),
        (functools.partial(MelMap, mel=MelSpec.preset("hifigan_48k_128")), 0.104353),
    ],
)
def test_size_is_the_published_one(kind: type[nn.Module], millions: float) -> None:
    with torch.device("meta"):
        model = kind()
    # `original0` is the length that weight norm splits off, which published counts leave out.
    weights = [p for name, p in model.named_parameters() if not name.endswith("original0")]
    assert sum(weight.numel() for weight in weights) == pytest.approx(millions * 1e6, abs=5e3)


@pytest.mark.usefixtures("plain_kernels")
@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("audio_channels", [1, 2])
@pytest.mark.parametrize("samples", [1, 7, 1237, 8192])
def test_any_signal_gives_finite_outputs_and_gradients(
    name: str, audio_channels: int, samples: int
) -> None:
    model = SMALL[name](audio_channels).requires_grad_(False)
    noise = torch.randn(1, audio_channels, samples)
    for signal in SIGNALS.values():
        audio = signal(noise).requires_grad_()
        outputs = model(audio)
        assert all(tensor.isfinite().all() for tensor in output_tensors(outputs))
        sum(output.logits.sum() for output in outputs).backward()
        assert audio.grad is not None and audio.grad.isfinite().all()


@pytest.mark.parametrize("name", [name for name in SMALL if joins_signals(SMALL[name](1))])
def test_two_signals_at_once_score_as_one_after_the_other(name: str) -> None:
    torch.manual_seed(0)
    separate = Discriminators({"a": SMALL[name](1)}).double()
    joint = copy.deepcopy(separate)
    real, fake = 0.1 * torch.randn(2, 2, 1, 600, dtype=torch.float64)
    fake.requires_grad_()
    torch.manual_seed(1)
    outputs = [separate(audio, {}) for audio in (real, fake)]
    torch.manual_seed(1)
    with weights_computed_once(joint):
        found = joint([real, fake], {})
    gradients = []
    for network, scores in ((separate, outputs), (joint, found)):
        loss = LeastSquares().discriminator(*scores)
        inputs = [fake, *(p for p in network.parameters() if p.requires_grad)]
        gradients.append(torch.autograd.grad(loss, inputs, allow_unused=True))
    for expected, made in zip(*gradients, strict=True):
        assert (expected is None) == (made is None)
        if made is not None:
            assert (made - expected).abs().max() <= 1e-5 * expected.abs().max() + 1e-12
    for a, b in zip(outputs, found, strict=True):
        for x, y in zip(a, b, strict=True):
            torch.testing.assert_close(y.feature_maps, x.feature_maps)
    # Power iterations and batch statistics were updated by both signals, in order.
    for expected, made in zip(separate.buffers(), joint.buffers(), strict=True):
        torch.testing.assert_close(made, expected)


@pytest.mark.parametrize("name", SMALL)
def test_gradient_reaches_every_channel_and_all_weights(name: str) -> None:
    model = SMALL[name](2)
    audio = torch.randn(1, 2, 1000, requires_grad=True)
    sum(output.logits.square().sum() for output in model(audio)).backward()
    assert audio.grad is not None and (audio.grad.abs().sum(-1) > 0).all()
    assert all(weight.grad is not None for weight in model.parameters())


@pytest.mark.parametrize("name", SMALL)
def test_one_backward_pass_covers_real_and_fake_outputs(name: str) -> None:
    model = SMALL[name](1)  # in training mode, where spectral norm changes its buffers each pass
    real, fake = model(torch.randn(1, 1, 800)), model(torch.randn(1, 1, 800))
    LeastSquares().discriminator(real, fake).backward()
    assert all(
        weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters()
    )


@pytest.mark.parametrize("name", SMALL)
def test_signals_of_a_batch_are_scored_independently(name: str) -> None:
    model = SMALL[name](1).eval()
    audio = torch.randn(3, 1, 900)
    for together, alone in zip(
        output_tensors(model(audio)), output_tensors(model(audio[1:2])), strict=True
    ):
        torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", sorted(SMALL.keys() - WITHOUT_LOGITS_AMONG_FEATURE_MAPS))
def test_last_feature_map_is_the_logits(name: str) -> None:
    for output in SMALL[name](1)(torch.randn(2, 1, 700)):
        assert torch.equal(output.feature_maps[-1].flatten(1), output.logits)
        assert all(each.shape[0] == 2 for each in output.feature_maps)


@pytest.mark.parametrize(
    ("name", "widths", "first_map", "divisors"),
    [
        ("period", (2, 8, 32, 64, 64, 1), 1025 / 3, (1, 3, 9, 27, 27, 27)),
        ("scale", (16, 16, 32, 64, 128, 128, 128, 1), 2050, (1, 2, 4, 16, 64, 64, 64, 64)),
        ("resolution", (4, 4, 4, 4, 4, 1), 68, (1, 2, 4, 8, 8, 8)),
        ("melgan", (4, 16, 16, 16), 2050, (1, 4, 8, 8)),
        ("dilated", (4, 4, 4), 2050, (1, 1, 1)),
        ("cqt", (4, 4, 4, 4, 4), 72, (1, 2, 4, 8, 8)),
    ],
)
def test_feature_maps_have_the_sizes_of_the_papers(
    name: str, widths: tuple[int, ...], first_map: float, divisors: tuple[int, ...]
) -> None:
    maps = SMALL[name](1)(torch.randn(1, 1, 2050))[0].feature_maps
    halved = 3 if name in ("resolution", "cqt") else 2  # time there, frequency otherwise
    assert tuple(each.shape[1] for each in maps) == widths
    assert [each.shape[halved] for each in maps] == [math.ceil(first_map / d) for d in divisors]


# Maps of two columns are too narrow: on CPUs with AMX, the bfloat16 convolution of oneDNN (torch
# 2.13) reads memory there that nobody has written.
WIDER = {**SMALL, "band": lambda c: MultiBand(win_lengths=(512, 256), channels=8, audio_channels=c)}


@pytest.mark.parametrize("name", WIDER)
def test_outputs_are_finite_under_autocast(name: str) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = WIDER[name](1)(torch.randn(1, 1, 1000))
    assert all(tensor.isfinite().all() for tensor in output_tensors(outputs))


@pytest.mark.parametrize("name", SMALL)
def test_evaluation_is_deterministic(name: str) -> None:
    model = SMALL[name](1).eval()
    audio = torch.randn(1, 1, 600)
    first, second = output_tensors(model(audio)), output_tensors(model(audio))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_ensemble_lists_the_outputs_of_all_members_in_order() -> None:
    members = {name: make(1).eval() for name, make in SMALL.items()}
    audio = torch.randn(1, 1, 500)
    expected = [output.logits for member in members.values() for output in member(audio)]
    outputs = Discriminators(members)(audio, {})
    assert all(torch.equal(output.logits, e) for output, e in zip(outputs, expected, strict=True))


@pytest.mark.parametrize(("channels", "weights"), [(32, 285_981), (128, 4_452_765)])
def test_cqt_has_as_many_weights_as_the_public_implementation(channels: int, weights: int) -> None:
    with torch.device("meta"):
        model = MultiScaleCQT(sample_rate=24000, channels=channels)
    named = model.named_parameters()
    assert sum(p.numel() for name, p in named if not name.endswith("original0")) == weights


def test_cqt_outputs_are_those_of_the_public_implementation() -> None:
    """BigVGAN's discriminator.py with random weights and nnAudio 0.3.4, 0.34 s of speech."""
    golden = np.load(Path(__file__).parents[1] / "golden" / "cqt_discriminator.npz")
    model = MultiScaleCQT(sample_rate=24000, channels=4)
    prefix = "weights/"
    model.load_state_dict(
        {k.removeprefix(prefix): torch.tensor(golden[k]) for k in golden if k.startswith(prefix)}
    )
    audio = torch.tensor(golden["pcm"] / 32768.0, dtype=torch.float32)[None, None]
    for scale, output in enumerate(model(audio)):
        expected = torch.tensor(golden[f"logits{scale}"])[None]
        torch.testing.assert_close(output.logits, expected, rtol=0.0, atol=1e-6)
        shapes = [list(each.shape) for each in output.feature_maps]
        assert shapes == golden[f"feature_shapes{scale}"].tolist()
        means = [each.mean().item() for each in output.feature_maps]
        assert means == pytest.approx(golden[f"feature_means{scale}"], abs=1e-6)


@pytest.mark.parametrize(
    ("sample_rate", "octaves"), [(16000, 8), (22050, 9), (24000, 9), (44100, 9), (48000, 9)]
)
def test_cqt_has_the_same_lowest_bins_at_any_rate(sample_rate: int, octaves: int) -> None:
    """A low tone falls into the same bin at any rate, and channels keep their order."""
    model = MultiScaleCQT(
        sample_rate=sample_rate,
        hop_lengths=(256,),
        octaves=(octaves,),
        bins_per_octave=(24,),
        channels=1,
        audio_channels=2,
    )
    inputs: list[Tensor] = []
    (discriminator,) = model.discriminators
    discriminator.conv_pres = nn.ModuleList(nn.Identity() for _ in range(octaves))
    discriminator.convs[0].register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    time = torch.arange(int(1.5 * sample_rate)) / sample_rate
    tones = [torch.sin(2 * math.pi * 32.7 * 2 ** (steps / 24) * time) for steps in (55, 80)]
    model(torch.stack(tones)[None])
    middle = inputs[0][0, :, inputs[0].shape[2] // 2]  # [2 C, bins], two parts per channel
    frame = middle.reshape(2, 2, -1).square().sum(1)
    assert frame.shape == (2, 24 * octaves)
    assert frame.argmax(1).tolist() == [55, 80]


@pytest.mark.parametrize("samples", [1, 4, 9, 10])
@pytest.mark.parametrize("period", [1, 3, 5])
def test_fold_keeps_samples_in_order_and_reflects_the_tail(samples: int, period: int) -> None:
    audio = torch.arange(samples, dtype=torch.float32)[None, None]
    rows = fold(audio, period)
    assert rows.shape == (1, 1, -(-samples // period), period)
    expected = np.pad(np.arange(samples), (0, -samples % period), mode="reflect")
    assert rows.flatten().tolist() == expected.tolist()


def test_columns_of_a_period_never_mix() -> None:
    audio = torch.randn(1, 1, 300, requires_grad=True)
    discriminator = PeriodDiscriminator(5, channels=2, audio_channels=1)
    discriminator(audio).feature_maps[-1][..., 2].sum().backward()
    assert audio.grad is not None
    energy = audio.grad.reshape(-1, 5).abs().sum(0)
    assert energy[2] > 0 and energy.sum() == energy[2]


def test_halve_averages_four_samples_with_zeros_outside() -> None:
    audio = torch.randn(2, 1, 17)
    padded = np.pad(audio.numpy(), ((0, 0), (0, 0), (2, 2)))
    expected = np.stack([padded[..., 2 * i : 2 * i + 4].mean(-1) for i in range(9)], axis=-1)
    np.testing.assert_allclose(halve(audio).numpy(), expected, atol=1e-6)


def test_each_scale_gets_audio_at_half_the_rate_of_the_one_before() -> None:
    model = MultiScale(channels=16).eval()
    audio = torch.randn(1, 1, 1001)
    for discriminator, output in zip(model.discriminators, model(audio), strict=True):
        assert torch.equal(discriminator(audio).logits, output.logits)
        audio = halve(audio)


def test_wavelet_scales_respond_to_the_highest_frequency_which_averages_remove() -> None:
    model = WaveletMultiScale(channels=16).eval()
    highest = torch.ones(1, 1, 1000)
    highest[..., ::2] = -1.0
    assert halve(highest)[..., 1:-1].abs().max() == 0
    silent = model(torch.zeros_like(highest))
    for with_tone, without in zip(model(highest), silent, strict=True):
        middle = with_tone.logits.shape[1] // 2
        assert not torch.allclose(with_tone.logits[:, middle], without.logits[:, middle])


@pytest.mark.parametrize("samples", [1, 2, 3, 16, 17])
def test_melgan_halves_by_the_mean_of_the_samples_of_the_signal(samples: int) -> None:
    audio = torch.arange(1.0, samples + 1)
    centers = range(0, max(samples // 2 * 2, 1), 2)
    expected = [audio[max(i - 1, 0) : i + 3].mean() for i in centers]
    halved = melgan_scale.halve(audio[None, None])[0, 0]
    torch.testing.assert_close(halved, torch.stack(expected))


@pytest.mark.parametrize("samples", [1, 5, 300])
def test_melgan_scales_are_the_published_ones(samples: int) -> None:
    """Reference implementation: reflection at the ends, groups of four, slope 0.2."""
    model = MelGANMultiScale(strides=(4, 2), channels=8, max_channels=32).eval()
    audio = torch.randn(1, 1, samples)
    for discriminator, output in zip(model.discriminators, model(audio), strict=True):
        x = torch.from_numpy(np.pad(audio.numpy(), ((0, 0), (0, 0), (7, 7)), mode="reflect"))
        for conv, (stride, padding, groups) in zip(
            discriminator.convs, [(1, 0, 1), (4, 20, 2), (2, 10, 8), (1, 2, 1)], strict=True
        ):
            x = F.conv1d(x, conv.weight, conv.bias, stride, padding, groups=groups)
            x = F.leaky_relu(x, 0.2)
        torch.testing.assert_close(output.feature_maps[-1], x)
        logits = F.conv1d(
            x, discriminator.conv_post.weight, discriminator.conv_post.bias, padding=1
        )
        torch.testing.assert_close(output.logits, logits[:, 0])
        audio = melgan_scale.halve(audio)


def test_receptive_field_of_dilated_layers_is_twice_their_index() -> None:
    audio = torch.randn(1, 1, 101, requires_grad=True)
    (output,) = Dilated(layers=6, channels=4)(audio)
    assert output.logits.shape == (1, 101)
    output.logits[0, 50].backward()
    assert audio.grad is not None
    used = audio.grad[0, 0].nonzero().flatten()
    reach = 1 + 1 + 2 + 3 + 4 + 1
    assert (used.min().item(), used.max().item()) == (50 - reach, 50 + reach)


def test_only_the_first_scale_is_bounded_in_gain() -> None:
    model = MultiScale(channels=16)
    for _ in range(50):  # power iterations
        model(torch.zeros(1, 1, 64))
    gains = [
        torch.linalg.matrix_norm(discriminator.convs[-1].weight.flatten(1), ord=2).item()
        for discriminator in model.discriminators
    ]
    assert gains[0] == pytest.approx(1.0, abs=0.05)
    assert all(abs(gain - 1.0) > 0.05 for gain in gains[1:])


def test_spectrogram_is_rectangular_and_centered_between_hops() -> None:
    n_fft, hop_length, win_length = 64, 10, 32
    discriminator = ResolutionDiscriminator(
        Resolution(n_fft, hop_length, win_length), channels=2, audio_channels=2
    )
    audio = torch.randn(1, 2, 205)
    padded = np.pad(audio.numpy(), ((0, 0), (0, 0), ((n_fft - hop_length) // 2,) * 2), "reflect")
    start = (n_fft - win_length) // 2
    frames = [
        padded[..., f * hop_length + start : f * hop_length + start + win_length] for f in range(20)
    ]
    expected = np.stack([np.abs(np.fft.rfft(frame, n_fft)) for frame in frames], axis=-1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        spectrogram = discriminator.spectrogram(audio)
    np.testing.assert_allclose(spectrogram.numpy(), expected, atol=1e-4)


def test_first_map_false_leaves_out_the_first_map_only() -> None:
    model = SMALL["period"](1)
    without = MultiPeriod(periods=(2, 11), channels=2, first_map=False)
    without.load_state_dict(model.state_dict())
    audio = torch.randn(1, 1, 500)
    for output, other in zip(model(audio), without(audio), strict=True):
        assert torch.equal(output.logits, other.logits)
        assert all(
            torch.equal(a, b)
            for a, b in zip(output.feature_maps[1:], other.feature_maps, strict=True)
        )


@pytest.mark.parametrize(
    "make",
    [
        lambda norm: MultiPeriod(periods=(3,), channels=2, norm=norm),
        lambda norm: MultiResolution(resolutions=TWO, channels=4, norm=norm),
        lambda norm: MultiScaleComplexSTFT(resolutions=TWO, channels=4, norm=norm),
        lambda norm: MultiBand(win_lengths=(64,), channels=4, norm=norm),
        lambda norm: MultiAmplitude(resolutions=TWO, channels=4, norm=norm),
        lambda norm: MultiPhase(resolutions=TWO, channels=4, norm=norm),
    ],
)
def test_spectral_norm_bounds_the_gain_of_every_normalised_layer(
    make: Callable[[str], nn.Module],
) -> None:
    models = {norm: make(norm) for norm in ("weight", "spectral")}
    for _ in range(30):  # power iterations
        models["spectral"](torch.zeros(1, 1, 300))
    layers = {
        norm: [m for m in model.modules() if hasattr(m, "parametrizations")]
        for norm, model in models.items()
    }
    assert len(layers["weight"]) == len(layers["spectral"]) > 0
    for layer in layers["spectral"]:
        gain = torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2).item()
        assert gain == pytest.approx(1.0, abs=0.1)
    with pytest.raises(ConfigError, match="'batch'"):
        make("batch")


# Convolutions in groups cannot be narrower.
NARROWEST = {
    "MultiRate": 4,
    "MultiScale": 16,
    "WaveletMultiScale": 16,
    "MelGANMultiScale": 4,
    "GroupedWaveform": 4,
}


def narrowed(values: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """Discriminators with the fewest channels; each that has `channels` also gets `settings`."""
    narrow = {
        key: narrowed(value, **settings) if isinstance(value, dict) else value
        for key, value in values.items()
    }
    if "channels" not in narrow:
        return narrow
    width = NARROWEST.get(narrow["_target_"].rpartition(".")[2], 1)
    narrow |= {key: width for key in ("channels", "max_channels") if key in narrow}
    return narrow | settings


@functools.cache
def group(name: str) -> dict[str, Any]:
    chosen = ["system=hifigan_24k", f"discriminators={name}", "data.manifest=none"]
    return compose(chosen)["discriminators"]


def test_outputs_of_a_weighted_member_share_its_weight() -> None:
    discriminator = SMALL["period"](1)
    outputs = Weighted(discriminator, weight=0.1)(torch.randn(1, 1, 300))
    assert [output.weight for output in outputs] == pytest.approx([0.05, 0.05])
    assert all(output.weight == 1.0 for output in discriminator(torch.randn(1, 1, 300)))


GROUPS = sorted(path.stem for path in (config_folder() / "discriminators").glob("*"))


@pytest.mark.parametrize("name", GROUPS)
def test_every_group_of_the_configuration_builds(name: str) -> None:
    members = build(narrowed(group(name)))
    assert all(isinstance(member, nn.Module) for member in members.values())


@functools.lru_cache(maxsize=1)
def cached_build(values: str) -> Discriminators:
    ensemble = Discriminators(build(json.loads(values)))
    return ensemble.requires_grad_(False)  # or most of the time goes into gradients of weights


def frozen_ensemble(name: str, audio_channels: int, sample_rate: int) -> Discriminators:
    """Narrow ensemble, the same for all rates unless a member takes the rate."""
    values = narrowed(group(name), audio_channels=audio_channels)
    for member in values.values():
        if "sample_rate" in member:
            member["sample_rate"] = sample_rate
        if "octaves" in member:
            octaves = 8 if sample_rate == 16000 else 9  # as high as twice the rate allows
            member["octaves"] = [octaves] * 3
    return cached_build(json.dumps(values))


@pytest.mark.usefixtures("plain_kernels")
@pytest.mark.parametrize(
    ("sample_rate", "audio_channels"),
    [
        *((rate, 1) for rate in (16000, 22050, 24000, 44100, 48000)),
        (24000, 2),
        *(pytest.param(rate, 2, marks=pytest.mark.slow) for rate in (16000, 22050, 44100, 48000)),
    ],
)
@pytest.mark.parametrize("name", [name for name in GROUPS if not name.startswith("small_")])
def test_every_ensemble_scores_audio_of_any_rate(
    name: str, audio_channels: int, sample_rate: int
) -> None:
    """Short, odd and long signals whose second item is silent; gradients reach the first."""
    ensemble = frozen_ensemble(name, audio_channels, sample_rate)
    for samples in (100, 1237, sample_rate // 8):
        audio = 0.1 * torch.randn(2, audio_channels, samples)
        audio[1] = 0.0
        audio.requires_grad_()
        mel = torch.zeros(2, 100, samples // 256 + 1)
        tensors = output_tensors(ensemble(audio, {"mel": mel}))
        if tensors:
            torch.stack([tensor.square().mean() for tensor in tensors]).sum().backward()
            assert all(torch.isfinite(tensor).all() for tensor in tensors)
            assert torch.isfinite(audio.grad).all() and audio.grad[0].abs().sum() > 0


def test_windows_are_no_part_of_the_state() -> None:
    for name in ("resolution", "hann resolution", "complex", "band", "amplitude"):
        assert not [key for key in SMALL[name](1).state_dict() if "window" in key]


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: MultiPeriod(periods=()), "periods"),
        (lambda: MultiPeriod(periods=(0, 2)), "periods"),
        (lambda: MultiPeriod(channels=0), "channels"),
        (lambda: MultiScale(channels=24), "multiple of 16"),
        (lambda: MultiScale(scales=0), "scales"),
        (lambda: MelGANMultiScale(scales=0), "scales"),
        (lambda: MelGANMultiScale(strides=()), "strides"),
        (lambda: MelGANMultiScale(channels=6), "multiple of 4"),
        (lambda: MelGANMultiScale(max_channels=100), "multiple of the first"),
        (lambda: Dilated(layers=1), "layers"),
        (lambda: MultiRate(sample_rate=48000, rates=()), "rates"),
        (lambda: MultiRate(sample_rate=48000, channels=6), "multiple of 4"),
        (lambda: MelMap(mel=dataclasses.replace(FEW_BANDS, n_mels=21)), "at least 22"),
        (lambda: Dilated(channels=0), "channels"),
        (lambda: MultiResolution(window="flat"), "window is 'flat'"),
        (lambda: MultiResolution(padding="left"), "padding is 'left'"),
        (lambda: MultiResolution(halved="both"), "halved is 'both'"),
        (lambda: MultiBand(win_lengths=()), "empty"),
        (lambda: MultiBand(win_lengths=(16,)), "empty"),
        (lambda: MultiBand(bands=(0.0, 1.1)), "from 0 to 1"),
        (lambda: MultiBand(bands=(0.0,)), "from 0 to 1"),
        (lambda: MultiBand(bands=(0.5, 0.2)), "rising"),
        (lambda: MultiScaleComplexSTFT(resolutions=()), "resolutions"),
        (lambda: Weighted(nn.Identity(), weight=0.0), "weight is 0.0"),
        (lambda: MultiScaleCQT(sample_rate=24000, octaves=(9, 9)), "must be equally many"),
        (lambda: MultiScaleCQT(sample_rate=24000, channels=0), "channels 0"),
        (lambda: MultiScaleCQT(sample_rate=16000), "set octaves to 8"),
        (lambda: MultiScaleCQT(sample_rate=24000, hop_lengths=(512, 256, 128)), "multiple of 256"),
        (lambda: resolutions_from([]), "resolutions"),
        (lambda: resolutions_from([[512, 50, 600]]), "win_length"),
        (lambda: resolutions_from([[512, 0, 240]]), "hop_length"),
        (lambda: resolutions_from([[512, 50]]), "n_fft, hop_length, win_length"),
    ],
)
def test_impossible_sizes_are_named(make: Callable[[], object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        make()
