"""The mask net: attention within groups and over all frames, memories, invariances."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.errors import ConfigError
from vocoder.generators.bandwidth_extension.mossformer import (
    GROUP,
    GatedMemory,
    JointAttention,
    MaskNet,
    ScaleNorm,
    frequencies,
    linear_attention,
    near_attention,
    positions,
    rotate,
)
from vocoder.streaming.tracing import symbolic_trace


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def rows(frames: int, channels: int, *, batch: int = 2) -> Tensor:
    return torch.randn(batch, frames, channels, dtype=torch.float64)


def reach(module: Callable[[Tensor], Tensor], x: Tensor, frame: int) -> tuple[int, int]:
    """First and last frame of output that change with one frame of input."""
    changed = x.clone()
    changed[:, frame] += 1.0
    differs = (module(x) != module(changed)).any(dim=-1)[0].nonzero()[:, 0]
    return int(differs[0]), int(differs[-1])


@pytest.mark.parametrize("frames", [1, 7, GROUP - 1, GROUP, GROUP + 1, 2 * GROUP + 5])
def test_padding_a_group_changes_nothing(frames: int) -> None:
    query, key, value = rows(frames, 4), rows(frames, 4), rows(frames, 3)
    expected = [
        F.relu(q @ k.transpose(1, 2) / GROUP).square() @ v
        for q, k, v in zip(
            *(torch.split(x, GROUP, dim=1) for x in (query, key, value)), strict=True
        )
    ]
    attended = near_attention(query, key, value, nn.Identity())
    torch.testing.assert_close(attended, torch.cat(expected, dim=1))


def test_linear_attention_is_attention_without_a_nonlinearity() -> None:
    query, key, value = rows(50, 4), rows(50, 4), rows(50, 3)
    expected = query @ key.transpose(1, 2) @ value / 50
    torch.testing.assert_close(linear_attention(query, key, value), expected)


def test_linear_attention_to_a_repeated_recording_is_the_same() -> None:
    query, key, value = rows(50, 4), rows(50, 4), rows(50, 3)
    twice = linear_attention(*(torch.cat([x, x], dim=1) for x in (query, key, value)))
    torch.testing.assert_close(twice[:, :50], linear_attention(query, key, value))


def test_rotation_is_relative_and_keeps_lengths() -> None:
    query, key = rows(9, 6)[:, :, None], rows(9, 6)[:, :, None]
    frame, turns = positions(query[:, :, 0]).double(), frequencies(2).double()
    products = [
        rotate(query, (frame + later) * turns) * rotate(key, torch.full_like(frame, later) * turns)
        for later in (0.0, 5.0, 1000.0)
    ]
    first, *others = (x.sum(dim=-1) for x in products)
    for other in others:
        torch.testing.assert_close(other, first)
    turned = rotate(query, frame * turns)
    torch.testing.assert_close(turned.norm(dim=-1), query.norm(dim=-1))
    assert torch.equal(turned[:, 0], query[:, 0])
    assert torch.equal(turned[..., 4:], query[..., 4:])
    assert not torch.allclose(turned[..., :4], query[..., :4])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_positions_count_the_frames(dtype: torch.dtype) -> None:
    counted = positions(torch.zeros(2, 5000, 3, dtype=dtype))
    assert torch.equal(counted[1, :, 0], torch.arange(5000.0))


def test_scale_norm_removes_the_level() -> None:
    x, norm = rows(9, 16), ScaleNorm()
    torch.testing.assert_close(norm(x).square().mean(dim=-1), torch.ones(2, 9).double())
    torch.testing.assert_close(norm(1000.0 * x), norm(x))
    assert not norm(torch.zeros(1, 2, 16)).any()


def test_attention_delays_half_of_the_channels_by_a_frame() -> None:
    attention, inputs = JointAttention(8, keys=4).double(), []
    attention.to_keys.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    x = rows(5, 8)
    attention(x, torch.zeros(2, 5, 1).double())
    assert torch.equal(inputs[0][:, 1:, :4], x[:, :-1, :4])
    assert not inputs[0][:, 0, :4].any()
    assert torch.equal(inputs[0][..., 4:], x[..., 4:])


def test_attention_covers_all_frames() -> None:
    attention = JointAttention(8, keys=4).double().eval()
    angles = torch.zeros(1, 3 * GROUP, 1).double()

    assert reach(lambda x: attention(x, angles), rows(3 * GROUP, 8, batch=1), GROUP + 3) == (
        0,
        3 * GROUP - 1,
    )


def test_a_memory_covers_27_frames_on_either_side() -> None:
    memory = GatedMemory(8, hidden=4).double().eval()
    assert reach(memory, rows(101, 8, batch=1), 50) == (50 - 27, 50 + 27)


def mask_net() -> MaskNet:
    return MaskNet(6, channels=16, blocks=2).eval()


@pytest.mark.parametrize("frames", [1, 2, GROUP + 1])
def test_the_mask_net_keeps_the_shape_and_is_not_negative(frames: int) -> None:
    latent = mask_net()(torch.randn(3, 6, frames))
    assert latent.shape == (3, 6, frames)
    assert latent.min() >= 0.0


def test_the_mask_net_is_invariant_to_level() -> None:
    net, mel = mask_net(), torch.randn(1, 6, 40)
    torch.testing.assert_close(net(mel - 3.0), net(mel), atol=1e-5, rtol=1e-4)


def test_the_mask_net_depends_on_the_position_of_a_frame() -> None:
    latent = mask_net()(torch.randn(1, 6, 1).expand(-1, -1, 90).clone())
    assert (latent[..., 30:60].std(dim=-1) > 0.0).any()


def test_a_traced_mask_net_takes_any_number_of_groups() -> None:
    net = mask_net()
    traced = symbolic_trace(net)
    for frames in (1, GROUP, 2 * GROUP + 1):
        mel = torch.randn(1, 6, frames)
        assert torch.equal(traced(mel), net(mel))


def test_dropout_is_for_training_alone() -> None:
    net, mel = mask_net(), torch.randn(1, 6, 40)
    assert torch.equal(net(mel), net(mel))
    net.train()
    assert not torch.equal(net(mel), net(mel))


def test_published_size() -> None:
    with torch.device("meta"):
        net = MaskNet(80, channels=512, blocks=24)
    # The published network has 16 more: the frequencies of the rotation, which are not trained.
    assert sum(weight.numel() for weight in net.parameters()) == 54_497_026


@pytest.mark.parametrize("channels", [0, 12])
def test_channels_that_are_no_multiple_of_8_are_refused(channels: int) -> None:
    with pytest.raises(ConfigError, match="multiple of 8"):
        MaskNet(80, channels=channels, blocks=1)
