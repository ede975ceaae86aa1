"""Folding normalised weights changes the parameters and nothing else."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from vocoder.errors import ConfigError
from vocoder.kernels.switch import reference_only
from vocoder.nn.conv import ConvTranspose1d
from vocoder.nn.norms.spectral import convolve, several_signals
from vocoder.nn.weight_norm import (
    count_weights,
    fold_weight_norm,
    normalise,
    weight_norm,
    weights_computed_once,
)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        weight_norm(nn.Conv1d(3, 8, 5)),
        nn.Sequential(weight_norm(ConvTranspose1d(8, 4, 6, stride=3))),
        spectral_norm(nn.Conv1d(4, 4, 3)),
        nn.Conv1d(4, 1, 1),
    ).eval()


def test_fold_keeps_the_output_and_names_the_weights() -> None:
    model, x = network(), torch.randn(2, 3, 20)
    with torch.no_grad():  # away from where length and direction are trivially consistent
        model[0].parametrizations.weight.original0.mul_(1.7)
    before, weights = model(x), count_weights(model)
    assert fold_weight_norm(model) == ["0.weight", "1.0.weight", "2.weight"]
    assert (model(x) - before).abs().max() <= 1e-6
    assert sum(weight.numel() for weight in model.parameters()) == weights == count_weights(model)
    assert sorted(model.state_dict()) == sorted(
        f"{layer}.{name}" for layer in ("0", "1.0", "2", "3") for name in ("weight", "bias")
    )
    assert type(model[1][0]) is ConvTranspose1d
    assert fold_weight_norm(model) == []


def test_fold_of_a_single_layer_names_its_weight() -> None:
    assert fold_weight_norm(weight_norm(nn.Conv1d(1, 1, 3))) == ["weight"]


def test_spectral_norm_is_a_choice_and_bounds_the_gain() -> None:
    torch.manual_seed(0)
    layer = normalise(nn.Conv1d(6, 5, 3, bias=False), "spectral")
    for _ in range(30):  # power iterations
        layer(torch.zeros(1, 6, 9))
    gain = torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2)
    assert gain.item() == pytest.approx(1.0, abs=1e-3)
    plain, twin = (nn.Conv1d(6, 5, 3) for _ in range(2))
    assert normalise(twin, "weight").state_dict().keys() == weight_norm(plain).state_dict().keys()
    with pytest.raises(ConfigError, match="'batch'"):
        normalise(nn.Conv1d(1, 1, 3), "batch")  # type: ignore[arg-type]


def test_folded_weights_still_learn() -> None:
    model = network()
    fold_weight_norm(model)
    model(torch.randn(1, 3, 20)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_checkpoints_of_the_older_weight_norm_load() -> None:
    length, direction = torch.rand(8, 1, 1) + 0.5, torch.randn(8, 3, 5)
    layer = weight_norm(nn.Conv1d(3, 8, 5, bias=False))
    layer.load_state_dict({"weight_g": length, "weight_v": direction})
    weight = length * direction / direction.square().sum((1, 2), keepdim=True).sqrt()
    assert torch.allclose(layer.weight, weight, atol=1e-6)


def test_weight_norm_is_computed_once_and_has_the_same_gradient() -> None:
    torch.manual_seed(0)
    layer, x = weight_norm(nn.Conv1d(3, 4, 3)), torch.randn(2, 3, 9)
    (layer(x) + 2.0 * layer(x)).sum().backward()
    expected = [parameter.grad.clone() for parameter in layer.parameters()]
    layer.zero_grad()
    with weights_computed_once(layer):
        assert layer.weight is layer.weight
        total = (layer(x) + 2.0 * layer(x)).sum()
    assert layer.weight is not layer.weight
    total.backward()
    found = [parameter.grad for parameter in layer.parameters()]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("bias", [True, False])
def test_spectral_norm_of_outputs_is_that_of_weights(bias: bool) -> None:
    torch.manual_seed(0)
    layer = normalise(nn.Conv1d(3, 4, 3, bias=bias).double(), "spectral")
    twin = normalise(nn.Conv1d(3, 4, 3, bias=bias).double(), "spectral")
    twin.load_state_dict(layer.state_dict())
    signals = torch.randn(2, 5, 3, 9, dtype=torch.float64)
    with reference_only():
        expected = torch.cat([convolve(layer, signal) for signal in signals])
    with several_signals(twin, 2):
        found = convolve(twin, signals.flatten(0, 1))
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(twin.state_dict(), layer.state_dict())
    for y in (expected, found):
        y.square().sum().backward()
    for a, b in zip(layer.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(b.grad, a.grad)
