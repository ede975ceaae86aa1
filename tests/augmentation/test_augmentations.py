"""Laws that hold for every augmentation."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from vocoder.augmentation.adaptive import AdaptiveAugmentation
from vocoder.augmentation.base import AdaptiveStrength
from vocoder.augmentation.diffusion import Diffusion, SpectralDiffusion
from vocoder.discriminators.output import DiscriminatorOutput
from vocoder.errors import ConfigError
from vocoder.features.mel import MelSpec, MelSpectrogram

MEL = MelSpec(sample_rate=16000, n_fft=256, hop_length=64, win_length=256, n_mels=20)
CENTERED = MelSpec(
    sample_rate=16000, n_fft=256, hop_length=60, win_length=200, n_mels=20, padding="center"
)
ALL: dict[str, Callable[..., AdaptiveStrength]] = {
    "diffusion": lambda **a: Diffusion(boundary=0.5, **a),
    "specdiff": lambda **a: SpectralDiffusion(MEL, boundary=0.5, **a),
    "specdiff-centered": lambda **a: SpectralDiffusion(CENTERED, boundary=0.5, **a),
    "ada": lambda **a: AdaptiveAugmentation(boundary=0.5, **a),
}
NAMES = pytest.mark.parametrize("name", ALL)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def features(name: str, audio: Tensor) -> dict[str, Tensor]:
    return {"mel": MelSpectrogram(CENTERED if "centered" in name else MEL)(audio)}


def outputs(*logits: float) -> list[DiscriminatorOutput]:
    """Outputs of two discriminators with different numbers of logits for as many items."""
    column = torch.tensor(logits)[:, None]
    return [
        DiscriminatorOutput(column.expand(-1, 5), []),
        DiscriminatorOutput(column.expand(-1, 2), []),
    ]


@NAMES
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("samples", [64, 1237, 2048])
@pytest.mark.parametrize("level", [0.0, 1e-6, 0.1, 1.0])
def test_any_signals_keep_their_shape_and_pass_a_finite_gradient(
    name: str, channels: int, samples: int, level: float
) -> None:
    real = level * torch.randn(3, channels, samples)
    fake = (level * torch.randn(3, channels, samples)).requires_grad_()
    augmented = ALL[name](p=0.8)([real, fake], features(name, real))
    assert [x.shape for x in augmented] == [real.shape, fake.shape]
    assert all(x.isfinite().all() for x in augmented)
    augmented[1].square().sum().backward()
    assert fake.grad is not None and fake.grad.isfinite().all()
    if level >= 0.1:
        assert (fake.grad.abs().sum(-1) > 0).all()


@NAMES
def test_the_seed_decides_everything(name: str) -> None:
    module, audio = ALL[name](p=0.8), 0.1 * torch.randn(4, 1, 512)
    runs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        runs.append(module([audio], features(name, audio))[0])
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


@NAMES
def test_autocast_changes_nothing(name: str) -> None:
    module, audio = ALL[name](p=0.8), 0.1 * torch.randn(2, 1, 512)
    given, runs = features(name, audio), []
    for enabled in (False, True):
        torch.manual_seed(1)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            runs.append(module([audio.bfloat16()], given)[0])
    assert runs[0].dtype == torch.float32
    assert torch.equal(*runs)


@NAMES
def test_strength_moves_every_four_updates_by_the_number_of_items(name: str) -> None:
    module = ALL[name](ramp_items=100)
    for expected in (0.0, 0.0, 0.0, 0.08, 0.08):
        module.adapt(outputs(0.9, 0.6))
        assert module.p.item() == pytest.approx(expected)


@NAMES
def test_strength_follows_the_share_of_recordings_classified_as_real(name: str) -> None:
    """Mean signs of 1 and 0.5 around the target 0.6; a logit of 0.4 counts as fake."""
    module = ALL[name](p=0.4, ramp_items=100)
    for logits, expected in [((0.6, 0.6, 0.6, 0.6), 0.56), ((9.0, 9.0, 9.0, 0.4), 0.4)]:
        for _ in range(4):
            module.adapt(outputs(*logits))
        assert module.p.item() == pytest.approx(expected)


@NAMES
def test_strength_stays_in_its_range_also_for_nan(name: str) -> None:
    module = ALL[name](ramp_items=4)
    for logit, limit in [(1.0, module.p_max), (0.0, 0.0), (float("nan"), 0.0)]:
        for _ in range(8):
            module.adapt(outputs(logit, logit))
        assert module.p.item() == pytest.approx(limit)


@NAMES
def test_saved_state_continues_exactly(name: str) -> None:
    """Saved between two changes of the strength, as training may stop at any step."""
    one, other = ALL[name](p=0.4, ramp_items=100), ALL[name](ramp_items=100)
    scores = torch.randn(14, 3) + 1.0
    for row in scores[:6]:
        one.adapt(outputs(*row.tolist()))
    assert 0.0 < one.p.item() < one.p_max
    other.load_state_dict(one.state_dict())
    for row in scores[6:]:
        one.adapt(outputs(*row.tolist()))
        other.adapt(outputs(*row.tolist()))
        assert torch.equal(one.p, other.p)
    assert all(value.dtype == torch.float32 for value in one.state_dict().values())


@NAMES
def test_can_be_built_on_the_meta_device(name: str) -> None:
    with torch.device("meta"):
        assert ALL[name]().p.is_meta


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Diffusion(boundary=0.5, p=1.5), "p is"),
        (lambda: Diffusion(boundary=0.5, ramp_items=0), "ramp_items"),
        (lambda: Diffusion(boundary=0.5, noise_std=0.0), "noise_std"),
        (lambda: SpectralDiffusion(MEL, boundary=0.5, t_min=20, t_max=10), "t_max"),
        (lambda: AdaptiveAugmentation(boundary=0.5, p=0.9), "p is"),
        (lambda: AdaptiveAugmentation(boundary=0.5, gain_db=-1.0), "gain_db"),
        (lambda: AdaptiveAugmentation(boundary=0.5, shift=0.6), "shift"),
    ],
)
def test_impossible_settings_are_named(make: Callable[[], object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        make()
