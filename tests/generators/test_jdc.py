"""JDC is the published network, and learns F0 and voicing."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.dsp.pitch import Pitch
from vocoder.errors import ConfigError
from vocoder.generators.pitched.jdc import JDC


@pytest.fixture
def jdc() -> JDC:
    torch.manual_seed(0)
    network = JDC(40, channels=4).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    return network


def test_is_the_published_network(jdc: JDC) -> None:
    """Written out again: the order of norm, slope, pooling and shortcut, the key names."""
    weights, mel = jdc.state_dict(), torch.randn(2, 40, 7)

    def norm(name: str, x: Tensor) -> Tensor:
        mean, var = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
        x = F.batch_norm(x, mean, var, weights[f"{name}.weight"], weights[f"{name}.bias"])
        return F.leaky_relu(x, 0.01)

    def convs(name: str, x: Tensor) -> Tensor:
        x = norm(f"{name}.1", F.conv2d(x, weights[f"{name}.0.weight"], padding=1))
        return F.conv2d(x, weights[f"{name}.3.weight"], padding=1)

    x = convs("conv_block", mel.transpose(1, 2)[:, None])
    for block in range(3):
        name = f"res_blocks.{block}"
        x = F.max_pool2d(norm(f"{name}.pre_conv.0", x), (1, 2))
        x = convs(f"{name}.conv", x) + F.conv2d(x, weights[f"{name}.conv1by1.weight"])
    x = F.max_pool2d(norm("pool_block.0", x), (1, 4))
    assert x.shape == (2, 16, 7, 1)
    x, _ = jdc.bilstm_classifier(x.permute(0, 2, 1, 3).reshape(2, 7, 16))
    expected = F.linear(x, weights["classifier.weight"], weights["classifier.bias"])
    f0 = jdc.f0(mel)
    assert f0.shape == (2, 7)
    assert torch.allclose(f0, expected[..., 0].abs(), atol=1e-6)


def test_published_size() -> None:
    """5,248,067 with the second output, whose 1,742,338 weights HiFTNet never uses."""
    with torch.device("meta"):
        jdc = JDC(80)
    assert sum(p.numel() for p in jdc.parameters()) == 3_505_729
    assert jdc.bilstm_classifier.input_size == 512


@pytest.mark.parametrize("frames", [1, 2, 19])
def test_one_value_per_frame_whatever_the_batch(jdc: JDC, frames: int) -> None:
    mel = torch.randn(3, 40, frames)
    f0 = jdc(mel)
    assert f0.shape == (3, frames)
    assert (f0 >= 0).all()
    for item in range(3):
        assert torch.allclose(jdc(mel[[item]])[0], f0[item], atol=1e-6)


def test_losses_are_zero_for_the_right_estimate_and_separate(jdc: JDC) -> None:
    target = Pitch(torch.full((1, 4), 200.0), torch.tensor([[True, True, False, False]]))
    right = torch.tensor([[200.0, 200.0, 0.0, 0.0]])
    assert {name: loss.item() for name, loss in jdc.losses(right, target).items()} == {
        "pitch": 0.0,
        "voicing": 0.0,
    }
    octave = jdc.losses(torch.tensor([[100.0, 200.0, 0.0, 0.0]]), target)
    assert octave["pitch"] == pytest.approx(49.75)  # half of |100| - 0.5
    assert octave["voicing"] == 0.0
    voiced = jdc.losses(torch.tensor([[200.0, 200.0, 0.0, 150.0]]), target)
    assert voiced["pitch"] == 0.0
    assert voiced["voicing"] == pytest.approx(74.75)


def test_every_parameter_learns(jdc: JDC) -> None:
    jdc.train()
    target = Pitch(torch.full((2, 9), 200.0), torch.arange(9).expand(2, -1) < 5)
    sum(jdc.losses(jdc(torch.randn(2, 40, 9)), target).values()).backward()
    assert all(p.grad.abs().sum() > 0 for p in jdc.parameters())


def test_too_few_bands_are_an_error() -> None:
    with pytest.raises(ConfigError, match="n_mels 31, too few to pool; use 32 or more"):
        JDC(31)
