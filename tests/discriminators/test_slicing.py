"""Laws of the sliced last layer, over discriminators, and a reference of SAN's formulas."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from vocoder.discriminators.dilated import Dilated
from vocoder.discriminators.melgan_scale import MelGANMultiScale
from vocoder.discriminators.output import DiscriminatorOutput, Discriminators, requested_features
from vocoder.discriminators.period import MultiPeriod
from vocoder.discriminators.scale import MultiScale
from vocoder.discriminators.slicing import Sliced, SlicedLayer
from vocoder.discriminators.spectral.resolution import MultiResolution
from vocoder.discriminators.weighted import Weighted
from vocoder.errors import ConfigError
from vocoder.losses.adversarial import Slicing
from vocoder.losses.feature_matching import FeatureMatching
from vocoder.nn.conv import ReflectConv1d
from vocoder.nn.weight_norm import weight_norm

SMALL: dict[str, Callable[[], nn.Module]] = {
    "period": lambda: MultiPeriod(periods=(2, 5), channels=2),
    "scale": lambda: MultiScale(channels=16),
    "resolution": lambda: MultiResolution(resolutions=((128, 15, 60),), channels=4),
    "melgan": lambda: MelGANMultiScale(strides=(4, 2), channels=4, max_channels=16),
    "dilated": lambda: Dilated(layers=4, channels=4),
}
LAYERS: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    "conv1d": lambda: (nn.Conv1d(6, 2, 3, padding=1), torch.randn(4, 6, 10)),
    "grouped": lambda: (nn.Conv1d(6, 2, 3, groups=2, bias=False), torch.randn(4, 6, 10)),
    "conv2d": lambda: (weight_norm(nn.Conv2d(6, 1, (3, 1), (2, 1))), torch.randn(4, 6, 9, 5)),
    "reflect": lambda: (ReflectConv1d(6, 1, 5), torch.randn(4, 6, 10)),
    "linear": lambda: (nn.Linear(6, 1), torch.randn(4, 6)),
}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


class WithLinear(nn.Module):
    """Scores the mean of a convolution over time plus that of the mel."""

    features = ("mel",)

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 4, 3)
        self.conv_post = nn.Linear(4, 1)

    def forward(self, audio: Tensor, mel: Tensor) -> list[DiscriminatorOutput]:
        x = self.conv(audio).tanh().mean(-1) + mel.mean()
        return [DiscriminatorOutput(self.conv_post(x), [x])]


class Mixing(WithLinear):
    def forward(self, audio: Tensor, mel: Tensor) -> list[DiscriminatorOutput]:
        (output,) = super().forward(audio, mel)
        return [output._replace(logits=output.logits.reshape(audio.shape[0], -1))]


def directions(module: nn.Module) -> set[str]:
    """Names of the filters of sliced layers."""
    return {
        n
        for n, _ in module.named_parameters()
        if n.endswith("layer.parametrizations.weight.original")
    }


@pytest.mark.parametrize("name", SMALL)
def test_sliced_discriminator_initially_equals_the_plain_one_without_the_last_bias(
    name: str,
) -> None:
    plain, sliced = SMALL[name](), SMALL[name]()
    sliced.load_state_dict(plain.state_dict())
    sliced, audio = Sliced(sliced).eval(), torch.randn(2, 1, 900)
    for owner in plain.modules():
        if hasattr(owner, "conv_post"):
            nn.init.zeros_(owner.conv_post.bias)
    for before, after in zip(plain.eval()(audio), sliced(audio), strict=True):
        assert after.direction is None
        torch.testing.assert_close(after.logits, before.logits)
        assert len(after.feature_maps) == len(before.feature_maps)
        for ours, theirs in zip(after.feature_maps, before.feature_maps, strict=True):
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    "name", sorted(SMALL.keys() - {"scale"})
)  # whose spectral norm moves in training
@pytest.mark.parametrize("batch", [1, 3])
def test_training_has_the_values_of_evaluation(name: str, batch: int) -> None:
    sliced, audio = Sliced(SMALL[name]()), torch.randn(batch, 1, 901)
    training, evaluation = sliced.train()(audio), sliced.eval()(audio)
    for ours, theirs in zip(training, evaluation, strict=True):
        torch.testing.assert_close(ours.logits, theirs.logits)
        torch.testing.assert_close(ours.direction, theirs.logits)
        assert [f.shape for f in ours.feature_maps] == [f.shape for f in theirs.feature_maps]


@pytest.mark.parametrize("name", SMALL)
def test_logits_train_all_but_the_filters_and_direction_trains_only_them(name: str) -> None:
    sliced, audio = Sliced(SMALL[name]()), torch.randn(2, 1, 700, requires_grad=True)
    names, weights = zip(*sliced.named_parameters(), strict=True)
    filters, everything = directions(sliced), set(names)
    assert len(filters) == len(sliced(audio))
    for field, trained in (("logits", everything - filters), ("direction", filters)):
        total = sum(getattr(output, field).square().sum() for output in sliced(audio))
        *gradients, of_audio = torch.autograd.grad(total, [*weights, audio])
        assert {n for n, g in zip(names, gradients, strict=True) if g.any()} == trained
        assert of_audio.any() == (field == "logits")


@pytest.mark.parametrize("name", SMALL)
def test_a_training_step_moves_everything_and_preserves_the_unit_length_of_filters(
    name: str,
) -> None:
    sliced = Sliced(SMALL[name]())
    before = {n: p.detach().clone() for n, p in sliced.named_parameters()}
    optimizer = torch.optim.SGD(sliced.parameters(), lr=0.1)
    real, fake = torch.randn(2, 2, 1, 700)
    Slicing().discriminator(sliced(real), sliced(fake)).backward()
    optimizer.step()
    assert all(not torch.equal(p, before[n]) for n, p in sliced.named_parameters())
    for module in sliced.modules():
        if isinstance(module, SlicedLayer):
            length = module.layer.weight.flatten(1).norm(dim=1)
            torch.testing.assert_close(length, torch.ones_like(length))


@pytest.mark.parametrize("name", LAYERS)
def test_layer_is_scale_times_unit_filters_of_input_plus_bias(name: str) -> None:
    layer, x = LAYERS[name]()
    weight = layer.weight.detach().clone()
    sliced = SlicedLayer(layer)
    assert sliced.bias.shape == (6,) and not sliced.bias.any()
    torch.testing.assert_close(sliced.scale.detach(), weight.flatten(1).norm(dim=1))
    for parameter in sliced.parameters():
        nn.init.normal_(parameter)
    ones = (1,) * (x.dim() - 2)
    unit = sliced.layer.parametrizations.weight.original
    unit = unit / unit.flatten(1).norm(dim=1).view(-1, *(1,) * (unit.dim() - 1))
    shifted = x + sliced.bias.view(-1, *ones)
    y = {
        "conv1d": lambda: F.conv1d(shifted, unit, padding=1),
        "grouped": lambda: F.conv1d(shifted, unit, groups=2),
        "conv2d": lambda: F.conv2d(shifted, unit, stride=(2, 1)),
        "reflect": lambda: F.conv1d(F.pad(shifted, (2, 2), mode="reflect"), unit),
        "linear": lambda: shifted @ unit.T,
    }[name]() * sliced.scale.view(-1, *ones)
    torch.testing.assert_close(sliced.eval()(x), y)
    torch.testing.assert_close(sliced.train()(x), torch.cat([y, y]))


def test_gradients_are_those_of_the_two_separate_problems() -> None:
    sliced, x = SlicedLayer(nn.Conv1d(3, 1, 3)), torch.randn(2, 3, 8)
    logits, direction = sliced(x).chunk(2)
    original = sliced.layer.parametrizations.weight.original
    (gradient,) = torch.autograd.grad(direction.square().sum(), original)
    free = original.detach().clone().requires_grad_()
    y = sliced.scale.detach() * F.conv1d(x, free / free.norm())
    torch.testing.assert_close(gradient, torch.autograd.grad(y.square().sum(), free)[0])
    assert (gradient * original).sum().abs() < 1e-4  # along the sphere
    slope, shift = torch.autograd.grad(logits.sum(), [sliced.scale, sliced.bias])
    torch.testing.assert_close(slope * sliced.scale, logits.sum()[None])
    assert shift.shape == (3,) and shift.any()


def test_an_ensemble_can_have_sliced_members() -> None:
    members = {"a": Sliced(SMALL["period"]()), "b": Weighted(Sliced(WithLinear()), weight=2.0)}
    assert requested_features(members["b"]) == ("mel",)
    ensemble, mel = Discriminators(members), torch.randn(2, 4, 5)
    real, fake = torch.randn(2, 2, 1, 400)
    outputs_real, outputs_fake = ensemble(real, {"mel": mel}), ensemble(fake, {"mel": mel})
    loss = Slicing().discriminator(outputs_real, outputs_fake)
    (loss + FeatureMatching()(outputs_fake, outputs_real)).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in ensemble.parameters())


def test_state_survives_and_meta_device_builds() -> None:
    one, two = Sliced(SMALL["period"]()), Sliced(SMALL["period"]())
    two.load_state_dict(one.state_dict())
    audio = torch.randn(1, 1, 300)
    for ours, theirs in zip(one(audio), two(audio), strict=True):
        assert torch.equal(ours.logits, theirs.logits)
    with torch.device("meta"):
        sizes = {n: p.shape for n, p in Sliced(SMALL["period"]()).named_parameters()}
    assert sizes == {n: p.shape for n, p in one.named_parameters()}


def test_modules_that_cannot_be_sliced_are_named() -> None:
    with pytest.raises(ConfigError, match="Tanh has no conv_post"):
        Sliced(nn.Tanh())
    with pytest.raises(ConfigError, match="Sequential"):
        SlicedLayer(nn.Sequential(nn.Linear(4, 1)))
    with pytest.raises(ConfigError, match="SlicedLayer"):
        Sliced(Sliced(SMALL["period"]()))
    with pytest.raises(ConfigError, match="Mixing mixes"):
        Sliced(Mixing())(torch.randn(2, 1, 50), mel=torch.zeros(1))


def test_only_the_last_layers_are_replaced() -> None:
    plain, sliced = SMALL["period"](), Sliced(SMALL["period"]())
    for old, new in zip(plain.discriminators, sliced.discriminator.discriminators, strict=True):
        assert [n for n, _ in old.convs.named_parameters()] == [
            n for n, _ in new.convs.named_parameters()
        ]
        assert isinstance(new.conv_post, SlicedLayer)
        assert parametrize.is_parametrized(new.conv_post.layer, "weight")
