"""The network of MossFormer2: attention over a whole recording, and FSMN memory blocks.

Between its parts, tensors are [B, F, C], with C last.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.errors import ConfigError
from vocoder.nn.conv import Conv1d

GROUP = 256  # frames within which each attends to each
_KERNEL = 17  # of the convolution in a projection
_REACH = 19  # frames on either side that a memory covers
_DROPOUT = 0.1
_ROTATED = 32  # entries of queries and keys that encode the position
_SLOWEST = 10000.0  # frames in which the slowest wave turns by about a radian
_EPS = 1e-8


def positions(x: Tensor) -> Tensor:
    """Index of each frame, from 0.   Shape: [B, F, C] → [B, F, 1]."""
    # No arange, whose length torch.fx cannot trace; and half precision cannot count beyond 256.
    return torch.ones_like(x[..., :1], dtype=torch.float32).cumsum(dim=1) - 1.0


def frequencies(count: int) -> Tensor:
    """Radians per frame of `count` waves, falling from 1 in equal ratios.   Shape: [count]."""
    return _SLOWEST ** -(torch.arange(count, dtype=torch.float32) / count)


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Rotary position embedding: rotate pairs of the first 2 R entries by `angles`.

    The product of two rows then depends on the difference of their angles alone.

    Shape: [B, F, H, D], [B, F, R] → [B, F, H, D], 2 R <= D.   Su et al. 2021 (RoFormer).
    """
    turned, still = x[..., : 2 * angles.shape[-1]], x[..., 2 * angles.shape[-1] :]
    cosine, sine = angles.cos()[:, :, None], angles.sin()[:, :, None]  # [B, F, 1, R]
    first, second = turned[..., 0::2], turned[..., 1::2]
    pairs = [first * cosine - second * sine, second * cosine + first * sine]
    return torch.cat([torch.stack(pairs, dim=-1).flatten(-2), still], dim=-1)


def groups(x: Tensor) -> Tensor:
    """Split into groups of N = 256 frames along the batch axis, the last padded with zeros.

    Shape: [B, F, C] → [B G, N, C].
    """
    return F.pad(x, (0, 0, 0, -x.shape[1] % GROUP)).reshape(-1, GROUP, x.shape[-1])


def near_attention(query: Tensor, key: Tensor, value: Tensor, dropout: nn.Module) -> Tensor:
    """Attention within groups of frames, weighted by squared rectified products.

    The zeros that pad a group get no weight. `dropout` is applied to the weights.

    Shape: [B, F, D], [B, F, D], [B, F, C] → [B, F, C].
    Hua et al. 2022 (FLASH, arXiv 2202.10447).
    """
    weights = F.relu(groups(query) @ groups(key).transpose(1, 2) / GROUP).square()
    attended: Tensor = dropout(weights) @ groups(value)  # [B G, N, C]
    return attended.reshape(value.shape[0], -1, value.shape[2])[:, : value.shape[1]]


def linear_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention over all frames, weighted by products: its cost is linear in F.

    Shape: [B, F, D], [B, F, D], [B, F, C] → [B, F, C].   Hua et al. 2022 (FLASH).
    """
    return query @ (key.transpose(1, 2) @ value / query.shape[1])


def _along_time(conv: nn.Module, x: Tensor) -> Tensor:
    y: Tensor = conv(x.transpose(1, 2)).transpose(1, 2)
    return y


class ScaleNorm(nn.Module):
    """Normalise the length of each row to a learned one.

    Shape: [B, F, C] → same.   Nguyen and Salazar 2019 (Transformers without Tears).
    """

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        """Divide every row by the root of its mean square."""
        return self.gain * x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True).clamp_min(1e-10))


class Projection(nn.Module):
    """Normalised linear layer and SiLU, plus a depthwise convolution of the result over time.

    Shape: [B, F, in_channels] → [B, F, out_channels].
    Zhao and Ma 2023 (MossFormer, arXiv 2302.11824).
    """

    def __init__(self, norm: nn.Module, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm = norm
        self.linear = nn.Linear(in_channels, out_channels)
        self.conv = Conv1d(out_channels, out_channels, _KERNEL, groups=out_channels, bias=False)
        self.dropout = nn.Dropout(_DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        """Project each row; the convolution covers 8 frames on either side."""
        x = F.silu(self.linear(self.norm(x)))
        y: Tensor = self.dropout(x + _along_time(self.conv, x))
        return y


class JointAttention(nn.Module):
    """Gated sum of attention within groups and linear attention over all frames.

    Queries and keys of both, of `keys` entries, come from one projection. Half of its input
    channels are delayed by a frame.

    Shape: [B, F, C], angles [B, F, R] → [B, F, C].   Zhao and Ma 2023 (MossFormer).
    """

    def __init__(self, channels: int, *, keys: int) -> None:
        super().__init__()
        self.to_hidden = Projection(ScaleNorm(), channels, 4 * channels)
        self.to_keys = Projection(ScaleNorm(), channels, keys)
        self.gains = nn.Parameter(0.02 * torch.randn(4, keys))
        self.offsets = nn.Parameter(torch.zeros(4, keys))
        self.dropout = nn.Dropout(_DROPOUT)
        self.to_out = Projection(ScaleNorm(), 2 * channels, channels)

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        """Add the attention's output to `x`."""
        late, now = x.chunk(2, dim=-1)
        shifted = torch.cat([F.pad(late, (0, 0, 1, -1)), now], dim=-1)
        hidden = self.to_hidden(shifted)  # [B, F, 4 C]
        roles = self.to_keys(shifted)[:, :, None] * self.gains + self.offsets  # [B, F, 4, D]
        near_query, far_query, near_key, far_key = rotate(roles, angles).unbind(2)
        near = near_attention(near_query, near_key, hidden, self.dropout)
        attended = near + linear_attention(far_query, far_key, hidden)
        value, gate = hidden.chunk(2, dim=-1)
        attended_value, attended_gate = attended.chunk(2, dim=-1)
        y: Tensor = self.to_out(attended_gate * value * torch.sigmoid(attended_value * gate))
        return x + y


class Memory(nn.Module):
    """FSMN memory: a layer followed by a weighted sum over 19 frames on either side, per channel.

    Shape: [B, F, C] → same.   Zhang et al. 2018 (Deep-FSMN, arXiv 1803.05030).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, channels)
        self.project = nn.Linear(channels, channels, bias=False)
        self.conv = Conv1d(channels, channels, 2 * _REACH + 1, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Add the layer's output and its memory to `x`."""
        y: Tensor = self.project(F.relu(self.linear(x)))
        return x + y + _along_time(self.conv, y)


class GatedMemory(nn.Module):
    """Gated FSMN memory (`Memory`) of width `hidden`, with a residual path.

    Shape: [B, F, C] → same.   Zhao et al. 2024 (MossFormer2, arXiv 2312.11825).
    """

    def __init__(self, channels: int, *, hidden: int) -> None:
        super().__init__()
        self.narrow = nn.Linear(channels, hidden)
        self.prelu = nn.PReLU()
        self.norm = nn.LayerNorm(hidden)
        self.to_memory = Projection(nn.LayerNorm(hidden), hidden, hidden)
        self.to_gate = Projection(nn.LayerNorm(hidden), hidden, hidden)
        self.memory = Memory(hidden)
        self.final_norm = nn.LayerNorm(hidden)
        self.widen = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Add the gated memory's output to `x`."""
        y = self.norm(self.prelu(self.narrow(x)))
        y = y + self.to_gate(y) * self.memory(self.to_memory(y))
        extended: Tensor = self.widen(self.final_norm(y))
        return x + extended


class MaskNet(nn.Module):
    """Mask network: `blocks` pairs of attention and memory of width `channels`, output >= 0.

    Keys have a quarter of the channels, memories half of them. Each output depends on the whole
    recording. Raises ConfigError for channels that are no multiple of 8.

    Shape: [B, bands, F] → same.
    Zhao et al. 2024 (MossFormer2), in the form of HiFi-SR (Zhao et al. 2025, arXiv 2501.10045).
    """

    waves: Tensor
    turns: Tensor

    def __init__(self, bands: int, *, channels: int, blocks: int) -> None:
        super().__init__()
        if channels < 8 or channels % 8:
            raise ConfigError(f"the mask net has {channels} channels; use a multiple of 8")
        keys = channels // 4
        self.norm = nn.GroupNorm(1, bands, eps=_EPS)
        self.embed = nn.Linear(bands, channels, bias=False)
        self.scale = nn.Parameter(torch.ones(1))
        self.attentions = nn.ModuleList(JointAttention(channels, keys=keys) for _ in range(blocks))
        self.memories = nn.ModuleList(
            GatedMemory(channels, hidden=channels // 2) for _ in range(blocks)
        )
        self.final_norm = nn.LayerNorm(channels, eps=1e-6)
        self.level = nn.GroupNorm(1, channels, eps=_EPS)
        self.prelu = nn.PReLU()
        self.out = nn.Linear(channels, channels)
        self.signal = nn.Linear(channels, channels)
        self.gate = nn.Linear(channels, channels)
        self.decode = nn.Linear(channels, bands, bias=False)
        self.register_buffer("waves", frequencies(channels // 2), persistent=False)
        turns = frequencies(min(_ROTATED, keys) // 2)
        self.register_buffer("turns", turns, persistent=False)

    def forward(self, mel: Tensor) -> Tensor:
        """Predict a latent of the full band from the log-mel spectrogram of the narrow band."""
        x = self.embed(self.norm(mel).transpose(1, 2))  # [B, F, C]
        position = positions(x)
        phase = position * self.waves
        x = x + self.scale * torch.cat([phase.sin(), phase.cos()], dim=-1)
        y, angles = x, position * self.turns
        for attention, memory in zip(self.attentions, self.memories, strict=True):
            y = memory(attention(y, angles))
        x = self.prelu(x + _along_time(self.level, self.final_norm(y)))
        x = self.out(x)
        x = self.decode(torch.tanh(self.signal(x)) * torch.sigmoid(self.gate(x)))
        return F.relu(x).transpose(1, 2)  # [B, bands, F]
