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

from vocoder.discriminators.verdict import Verdict
from vocoder.dsp.pqmf import pqmf_analysis, pqmf_filters
from vocoder.dsp.resolutions import RESOLUTIONS
from vocoder.errors import ConfigError
from vocoder.features.mel import MelSpec
from vocoder.losses.adversarial import Hinge, LeastSquares, UnboundedHinge
from vocoder.losses.feature_matching import FeatureMatching
from vocoder.losses.spectral import LogMelL1, MultiResolutionSTFT, MultiScaleMel
from vocoder.losses.subband import SubbandSTFT

SAMPLE_RATE = 22050
SPECTRAL: dict[str, nn.Module] = {
    "log_mel": LogMelL1(MelSpec.preset("hifigan_22k_80")),
    "multi_resolution_stft": MultiResolutionSTFT(),
    "multi_scale_mel": MultiScaleMel(sample_rate=SAMPLE_RATE),
    "subband_stft": SubbandSTFT(),
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
        with warnings.catch_warnings():  # bands narrower than a bin are empty on purpose
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


def verdict(logits: list[float], *features: list[float]) -> Verdict:
    return Verdict(torch.tensor([logits]), [torch.tensor([feature]) for feature in features])


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


@pytest.mark.parametrize("name", SPECTRAL)
@pytest.mark.parametrize("fake_name", SIGNALS)
@pytest.mark.parametrize("real_name", SIGNALS)
def test_value_and_gradient_are_finite(name: str, fake_name: str, real_name: str) -> None:
    noise = torch.randn(2, 1, 2048, generator=torch.Generator().manual_seed(0))
    fake = SIGNALS[fake_name](noise).requires_grad_()
    loss = SPECTRAL[name](fake, SIGNALS[real_name](noise))
    loss.backward()
    assert loss.shape == () and loss.isfinite()
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


@pytest.mark.parametrize(
    ("game", "for_generator", "for_discriminator"),
    [
        # Fakes score (3, -1) and (0.5): by hand from the papers' formulas; reals (0.5, 1) and (-1).
        (LeastSquares(), 4.0 + 0.25, (0.125 + 5.0) + (4.0 + 0.25)),
        (LeastSquares(reduction="mean"), 4.25 / 2, 9.375 / 2),
        (Hinge(), 1.0 + 0.5, (0.25 + 2.0) + (2.0 + 1.5)),
        (Hinge(reduction="mean"), 1.5 / 2, 5.75 / 2),
        (UnboundedHinge(), -1.0 - 0.5, (0.25 + 2.0) + (2.0 + 1.5)),
        (UnboundedHinge(reduction="mean"), -1.5 / 2, 5.75 / 2),
    ],
)
def test_games_by_hand(
    game: LeastSquares | Hinge, for_generator: float, for_discriminator: float
) -> None:
    fake, real = [verdict([3.0, -1.0]), verdict([0.5])], [verdict([0.5, 1.0]), verdict([-1.0])]
    assert game.generator(fake).item() == pytest.approx(for_generator)
    assert game.discriminator(real, fake).item() == pytest.approx(for_discriminator)


@pytest.mark.parametrize("game", [LeastSquares(), Hinge()])
def test_games_end_where_they_should(game: LeastSquares | Hinge) -> None:
    assert game.generator([verdict([1.0])]).item() == 0.0
    lowest = 0.0 if isinstance(game, LeastSquares) else -1.0
    assert game.discriminator([verdict([1.0])], [verdict([lowest])]).item() == 0.0


@pytest.mark.parametrize(("reduction", "expected"), [("sum", 8.5), ("mean", 4.25)])
def test_feature_matching_sums_maps_and_reduces_verdicts(reduction: str, expected: float) -> None:
    fake = [verdict([0.0], [1.0, 2.0], [3.0]), verdict([0.0], [0.0])]
    real = [verdict([9.0], [2.0, 4.0], [0.0]), verdict([9.0], [4.0])]
    loss = FeatureMatching(reduction=reduction)  # type: ignore[arg-type]
    assert loss(fake, real).item() == pytest.approx(expected)
    assert loss(real, real).item() == 0.0


def test_feature_matching_moves_only_the_fake() -> None:
    fake, real = (Verdict(torch.zeros(1, 1), [torch.randn(1, 3).requires_grad_()]) for _ in "ab")
    FeatureMatching()([fake], [real]).backward()
    assert fake.features[0].grad is not None and real.features[0].grad is None


@pytest.mark.parametrize("kind", [LeastSquares, Hinge, UnboundedHinge, FeatureMatching])
def test_misspelt_reduction_is_named(kind: type[FeatureMatching]) -> None:
    with pytest.raises(ConfigError, match="'avg'"):
        kind(reduction="avg")  # type: ignore[arg-type]


def test_different_ensembles_cannot_be_paired() -> None:
    one, two = [verdict([0.0], [0.0])], [verdict([0.0], [0.0])] * 2
    with pytest.raises(ValueError, match="zip"):
        LeastSquares().discriminator(one, two)
    with pytest.raises(ValueError, match="zip"):
        FeatureMatching()(one, two)


def test_scales_that_do_not_pair_up_are_named() -> None:
    with pytest.raises(ConfigError, match="n_mels"):
        MultiScaleMel(sample_rate=SAMPLE_RATE, win_lengths=(64, 128), n_mels=(10,))
