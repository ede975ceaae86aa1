"""Projected discriminators: frozen parts stay frozen and are reproducible."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.build import build
from vocoder.discriminators.projected import Backbone, Mixing, Projected, RandomFeatures
from vocoder.errors import ConfigError


def small(seed: int = 0) -> Projected:
    return Projected(backbone=RandomFeatures(widths=(8, 8, 8), seed=seed), channels=2, seed=seed)


class Pretrained(Backbone):
    """Two maps of a network with weights and batch norm, like a pre-trained one."""

    widths = (3, 5)

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv1d(1, 3, 4, 4), nn.BatchNorm1d(3))
        self.second = nn.Conv1d(3, 5, 4, 4)

    def forward(self, audio: Tensor) -> list[Tensor]:
        first = self.first(F.pad(audio, (0, 16)))
        return [first, self.second(first)]


def test_fixed_weights_come_from_the_seed_alone() -> None:
    torch.manual_seed(1)
    first = dict(small().named_buffers())
    torch.manual_seed(2)
    second, other = dict(small().named_buffers()), dict(small(seed=3).named_buffers())
    fixed = [name for name in first if "backbone" in name or "mixing" in name]
    assert len(fixed) == 3 + 3 + 2
    assert all(torch.equal(first[name], second[name]) for name in fixed)
    assert not any(torch.equal(first[name], other[name]) for name in fixed)
    # Exact numbers, so that a training resumed under any version has the same backbone.
    expected = torch.tensor([1.7640523, 0.4001572, 0.978738]) / 3
    torch.testing.assert_close(first["backbone.convs.0.weight"][0, 0, :3], expected)


def test_state_holds_the_discriminators_only_and_restores_everything() -> None:
    torch.manual_seed(0)
    model, audio = small().eval(), torch.randn(1, 1, 900)
    assert all(name.startswith("discriminators.") for name in model.state_dict())
    again = small().eval()
    again.load_state_dict(model.state_dict())
    for a, b in zip(model(audio), again(audio), strict=True):
        assert torch.equal(a.logits, b.logits)


def test_given_backbone_is_frozen_and_passes_the_gradient_on() -> None:
    model = Projected(backbone=Pretrained(), channels=2).train()
    before = {name: value.clone() for name, value in model.backbone.state_dict().items()}
    audio = torch.randn(2, 1, 400, requires_grad=True)
    sum(output.logits.square().sum() for output in model(audio)).backward()
    assert audio.grad is not None and (audio.grad.abs().sum((1, 2)) > 0).all()
    assert not any(weight.requires_grad for weight in model.backbone.parameters())
    assert not model.backbone.training and model.discriminators.training
    assert all(torch.equal(v, before[n]) for n, v in model.backbone.state_dict().items())


def test_random_features_keep_the_power_of_noise() -> None:
    audio = torch.randn(1, 1, 40000)
    for x in RandomFeatures()(audio):
        assert x.square().mean().sqrt().item() == pytest.approx(1.0, abs=0.2)


def test_maps_halve_the_redundancy_at_every_scale() -> None:
    maps = RandomFeatures(audio_channels=2)(torch.randn(1, 2, 1000))
    assert [tuple(x.shape[1:]) for x in maps] == [(64, 250), (128, 63), (256, 16), (512, 4)]


def test_every_mixed_scale_depends_on_the_coarser_ones_and_all_channels() -> None:
    maps = [torch.randn(1, 4, length, requires_grad=True) for length in (32, 8, 2)]
    mixed = Mixing((4, 4, 4), channels=3, seed=0)(maps)
    assert [tuple(x.shape[1:]) for x in mixed] == [(3, 32), (6, 8), (12, 2)]
    for scale, x in enumerate(mixed):
        gradients = torch.autograd.grad(
            x[0, 0].sum(), maps, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        used = [bool((g.abs().sum(-1) > 0).all()) for g in gradients]
        assert used == [other >= scale for other in range(3)]


def test_all_scales_end_at_one_resolution() -> None:
    assert [output.logits.shape[1] for output in small()(torch.randn(1, 1, 4000))] == [63, 63, 63]


def test_backbone_can_be_configured() -> None:
    target = "vocoder.discriminators.projected"
    features = {"_target_": f"{target}.RandomFeatures", "widths": [4, 4], "seed": 5}
    model = build({"_target_": f"{target}.Projected", "backbone": features, "channels": 2})
    assert len(model(torch.randn(1, 1, 300))) == 2
    with pytest.raises(ConfigError, match="Backbone"):
        build({"_target_": f"{target}.Projected", "backbone": {"_target_": f"{target}.Projected"}})


def test_impossible_sizes_are_named() -> None:
    with pytest.raises(ConfigError, match="channels"):
        Projected(channels=0)
    with pytest.raises(ConfigError, match="widths"):
        RandomFeatures(widths=())
