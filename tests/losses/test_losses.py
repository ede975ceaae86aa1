"""Laws that hold for every loss, and numbers from an independent computation."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vocoder.discriminators.output import DiscriminatorOutput
from vocoder.dsp.pqmf import pqmf_analysis, pqmf_filters
from vocoder.dsp.resolutions import RESOLUTIONS
from vocoder.errors import ConfigError
from vocoder.features.mel import MelSpec
from vocoder.losses.adversarial import Reduction
from vocoder.losses.complex import MultiResolutionComplex
from vocoder.losses.cqt import LogCQT
from vocoder.losses.feature_matching import (
    FeatureMatching,
    MeanFeatureMatching,
    NormalisedFeatureMatching,
)
from vocoder.losses.phase import GroupDelay, InstantaneousFrequency, InstantaneousPhase
from vocoder.losses.spectral import (
    LogMelL1,
    MultiResolutionLogMagnitude,
    MultiResolutionSTFT,
    MultiScaleMel,
)
from vocoder.losses.subband import SubbandSTFT
from vocoder.losses.waveform import Envelope, WaveformL1

SAMPLE_RATE = 22050
SPECTRAL: dict[str, nn.Module] = {
    "log_mel": LogMelL1(MelSpec.preset("hifigan_22k_80")),
    "multi_resolution_stft": MultiResolutionSTFT(),
    "multi_resolution_log_magnitude": MultiResolutionLogMagnitude(resolutions=RESOLUTIONS),
    "multi_scale_mel": MultiScaleMel(sample_rate=SAMPLE_RATE),
    "subband_stft": SubbandSTFT(),
    "multi_resolution_complex": MultiResolutionComplex(),
    "instantaneous_phase": InstantaneousPhase(),
    "group_delay": GroupDelay(),
    "instantaneous_frequency": InstantaneousFrequency(),
    "waveform": WaveformL1(),
    "envelope": Envelope(),
    "log_cqt": LogCQT(sample_rate=SAMPLE_RATE),
}
SIGNALS: dict[str, Callable[[Tensor], Tensor]] = {
    "silence": torch.zeros_like,
    "impulse": lambda x: torch.zeros_like(x).index_fill(-1, torch.tensor([x.shape[-1] // 2]), 1.0),
    "full-scale": torch.sign,
    "noise": lambda x: 0.1 * x,
    "almost silence": lambda x: 1e-20 * x,
}
GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "spectral_losses.npz")
Array = NDArray[np.float64]


def magnitudes(audio: Array, n_fft: int, hop: int, win: int, *, center: bool = True) -> Array:
    bins = librosa.stft(audio, n_fft=n_fft, hop_length=hop, win_length=win, center=center,
                        pad_mode="reflect")  # fmt: skip
    return np.abs(bins)


def reference_log_mel(fake: Array, real: Array) -> float:
    bank = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=1024, n_mels=80, fmin=0, fmax=8000)

    def mel(audio: Array) -> Array:
        padded = np.pad(audio, 384, mode="reflect")
        spectrum = np.sqrt(magnitudes(padded, 1024, 256, 1024, center=False) ** 2 + 1e-9)
        return np.log(np.maximum(bank @ spectrum, 1e-5))

    return float(np.abs(mel(fake) - mel(real)).mean())


def reference_stft(
    fake: Array, real: Array, resolutions: Sequence[tuple[int, int, int]] = RESOLUTIONS
) -> float:
    losses = []
    for resolution in resolutions:
        x, y = (np.maximum(magnitudes(a, *resolution), np.sqrt(1e-7)) for a in (fake, real))
        convergence = np.linalg.norm(y - x) / np.linalg.norm(y)
        losses.append(convergence + np.abs(np.log(y) - np.log(x)).mean())
    return float(np.mean(losses))


def reference_multi_scale_mel(fake: Array, real: Array) -> float:
    total = 0.0
    for doublings in range(7):
        win = 32 << doublings
        with warnings.catch_warnings():  # bands narrower than a bin are empty
            warnings.simplefilter("ignore")
            bank = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=win, n_mels=5 << doublings)
        x, y = (bank @ magnitudes(audio, win, win // 4, win) for audio in (fake, real))
        total += np.abs(np.log10(np.maximum(x, 1e-5)) - np.log10(np.maximum(y, 1e-5))).mean()
    return float(total)


REFERENCE = {
    "log_mel": reference_log_mel,
    "multi_resolution_stft": reference_stft,
    "multi_scale_mel": reference_multi_scale_mel,
}


def output(logits: list[float], *maps: list[float]) -> DiscriminatorOutput:
    return DiscriminatorOutput(torch.tensor([logits]), [torch.tensor([each]) for each in maps])


@pytest.mark.parametrize("name", REFERENCE)
def test_numbers_of_an_independent_computation(name: str) -> None:
    fake, real = GOLDEN["fake"], GOLDEN["real"]  # [T]: real speech, and the same with noise
    value = SPECTRAL[name](torch.tensor(fake)[None, None], torch.tensor(real)[None, None])
    assert value.item() == pytest.approx(float(GOLDEN[name]), rel=1e-4)


@pytest.mark.parametrize("name", REFERENCE)
def test_stored_numbers_are_librosa_s(name: str) -> None:
    fake, real = (GOLDEN[key].astype(np.float64) for key in ("fake", "real"))
    assert REFERENCE[name](fake, real) == pytest.approx(float(GOLDEN[name]), rel=1e-4)


def test_subband_loss_is_the_stft_loss_of_the_bands() -> None:
    # A length at which librosa, which pads odd windows by one sample less, has as many frames.
    audio = torch.from_numpy(np.stack([GOLDEN["fake"], GOLDEN["real"]]))[:, None, :5996]
    fake, real = pqmf_analysis(audio, pqmf_filters()).double().numpy()
    expected = reference_stft(fake, real, ((384, 30, 150), (683, 60, 300), (171, 10, 60)))
    value = SPECTRAL["subband_stft"](audio[:1], audio[1:])
    assert value.item() == pytest.approx(expected, rel=1e-4)


def test_log_magnitudes_are_compared_in_nepers() -> None:
    fake, real = GOLDEN["fake"], GOLDEN["real"]
    spectra = ([np.log(magnitudes(a, *r) + 1e-5) for a in (fake, real)] for r in RESOLUTIONS)
    expected = np.mean([np.abs(x - y).mean() for x, y in spectra])
    loss = SPECTRAL["multi_resolution_log_magnitude"]
    value = loss(torch.tensor(fake)[None, None], torch.tensor(real)[None, None])
    assert value.item() == pytest.approx(expected, rel=1e-4)


def test_log_cqt_weights_every_octave_equally() -> None:
    loss = LogCQT(sample_rate=8000, hop_length=64, octaves=7)
    real = torch.randn(1, 1, 8000, generator=torch.Generator().manual_seed(4))
    assert loss(3.0 * real, real).item() == pytest.approx(np.log(3.0), rel=1e-3)


@pytest.mark.parametrize("name", SPECTRAL)
@pytest.mark.parametrize("fake_name", SIGNALS)
@pytest.mark.parametrize("real_name", SIGNALS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_value_and_gradient_are_finite(
    name: str, fake_name: str, real_name: str, dtype: torch.dtype
) -> None:
    noise = torch.randn(2, 1, 2048, generator=torch.Generator().manual_seed(0)).to(dtype)
    fake = SIGNALS[fake_name](noise).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        loss = SPECTRAL[name](fake, SIGNALS[real_name](noise))
    loss.backward()
    assert loss.shape == () and loss.dtype == torch.float32 and loss.isfinite()
    assert fake.grad is not None and fake.grad.isfinite().all()
    if fake_name == real_name:
        assert loss.item() == 0.0


@pytest.mark.parametrize("name", SPECTRAL)
def test_loss_grows_with_the_error_and_its_gradient_reduces_it(name: str) -> None:
    generator = torch.Generator().manual_seed(1)
    real, error = torch.randn(2, 1, 1, 3000, generator=generator)
    near = (real + 0.01 * error).requires_grad_()
    loss = SPECTRAL[name](near, real)
    assert 0.0 < loss.item() < SPECTRAL[name](real + 0.1 * error, real).item()
    (gradient,) = torch.autograd.grad(loss, near)
    step = 1e-4 * gradient / gradient.abs().max()
    assert SPECTRAL[name](near - step, real).item() < loss.item()


@pytest.mark.parametrize("name", SPECTRAL)
def test_every_channel_counts_equally(name: str) -> None:
    generator = torch.Generator().manual_seed(2)
    fake, real = torch.randn(2, 2, 2, 2048, generator=generator)
    mono = SPECTRAL[name](fake.reshape(4, 1, -1), real.reshape(4, 1, -1))
    assert SPECTRAL[name](fake, real).item() == pytest.approx(mono.item())


@pytest.mark.parametrize("name", SPECTRAL)
def test_losses_stay_in_float32_under_autocast(name: str) -> None:
    fake, real = torch.randn(2, 1, 1, 2048, generator=torch.Generator().manual_seed(3))
    exact = SPECTRAL[name](fake, real)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = SPECTRAL[name](fake, real)
    assert loss.dtype == torch.float32 and torch.equal(loss, exact)
    assert SPECTRAL[name].state_dict() == {}


MATCHING = [FeatureMatching, MeanFeatureMatching, NormalisedFeatureMatching]


@pytest.mark.parametrize(("reduction", "expected"), [("sum", 8.5), ("mean", 4.25)])
def test_feature_matching_sums_maps_and_reduces_outputs(reduction: str, expected: float) -> None:
    fake = [output([0.0], [1.0, 2.0], [3.0]), output([0.0], [0.0])]
    real = [output([9.0], [2.0, 4.0], [0.0]), output([9.0], [4.0])]
    loss = FeatureMatching(reduction=reduction)  # type: ignore[arg-type]
    assert loss(fake, real).item() == pytest.approx(expected)
    assert loss(real, real).item() == 0.0


def test_mean_feature_matching_takes_the_mean_of_maps() -> None:
    fake = [output([0.0], [1.0, 2.0], [3.0]), output([0.0], [0.0])]
    real = [output([9.0], [2.0, 4.0], [0.0]), output([9.0], [4.0])]
    assert MeanFeatureMatching()(fake, real).item() == pytest.approx((1.5 + 3.0) / 2 + 4.0)


def test_normalised_feature_matching_is_relative_to_the_real_maps() -> None:
    fake = [output([0.0], [1.0, 2.0], [3.0]), output([0.0], [0.0])]
    real = [output([9.0], [2.0, -4.0], [2.0]), output([9.0], [4.0])]
    loss = NormalisedFeatureMatching()
    assert loss(fake, real).item() == pytest.approx((3.5 / 3 + 1 / 2) / 2 + 1)
    assert loss(real, real).item() == 0.0
    louder = [[output([0.0], [100.0, 200.0])], [output([0.0], [200.0, -400.0])]]
    assert loss(*louder).item() == pytest.approx(3.5 / 3)
    assert loss([output([0.0], [1.0])], [output([0.0], [0.0])]).isfinite()


def weigh(
    outputs: list[DiscriminatorOutput], weights: Sequence[float]
) -> list[DiscriminatorOutput]:
    return [each._replace(weight=weight) for each, weight in zip(outputs, weights, strict=True)]


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("kind", MATCHING)
def test_feature_matching_multiplies_outputs_by_their_weights(
    kind: type[FeatureMatching], reduction: Reduction
) -> None:
    fake = [output([0.0], [1.0, 2.0], [3.0]), output([0.0], [0.0])]
    real = [output([9.0], [2.0, 4.0], [1.0]), output([9.0], [4.0])]
    loss, weights = kind(reduction=reduction), (0.5, 3.0)
    apart = [w * loss([a], [b]) for w, a, b in zip(weights, fake, real, strict=True)]
    expected = sum(apart) / (2 if reduction == "mean" else 1)
    weighted = [weigh(fake, weights), weigh(real, weights)]
    assert loss(*weighted).item() == pytest.approx(float(expected))


@pytest.mark.parametrize("kind", MATCHING)
def test_feature_matching_has_a_gradient_for_the_fake_only(kind: type[FeatureMatching]) -> None:
    fake, real = (
        DiscriminatorOutput(torch.zeros(1, 1), [torch.randn(1, 3).requires_grad_()]) for _ in "ab"
    )
    kind()([fake], [real]).backward()
    assert fake.feature_maps[0].grad is not None and real.feature_maps[0].grad is None


@pytest.mark.parametrize("kind", MATCHING)
def test_misspelt_reduction_is_named(kind: type[FeatureMatching]) -> None:
    with pytest.raises(ConfigError, match="'avg'"):
        kind(reduction="avg")  # type: ignore[arg-type]


def test_different_ensembles_cannot_be_paired() -> None:
    one, two = [output([0.0], [0.0])], [output([0.0], [0.0])] * 2
    with pytest.raises(ValueError, match="zip"):
        FeatureMatching()(one, two)


def test_scales_that_do_not_pair_up_are_named() -> None:
    with pytest.raises(ConfigError, match="n_mels"):
        MultiScaleMel(sample_rate=SAMPLE_RATE, win_lengths=(64, 128), n_mels=(10,))


def test_outputs_without_feature_maps_are_not_matched() -> None:
    """Like those of random windows, which are not the same for real and fake."""
    fake = [
        DiscriminatorOutput(torch.zeros(1, 1), []),
        DiscriminatorOutput(torch.zeros(1, 1), [torch.tensor([1.0])]),
    ]
    real = [
        DiscriminatorOutput(torch.zeros(1, 1), []),
        DiscriminatorOutput(torch.zeros(1, 1), [torch.tensor([3.0])]),
    ]
    assert FeatureMatching(reduction="mean")(fake, real).item() == 2.0
    with pytest.raises(ConfigError, match="drop feature_matching"):
        FeatureMatching()(fake[:1], real[:1])
