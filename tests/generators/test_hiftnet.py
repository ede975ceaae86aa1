"""HiFTNet is the published network, given its source signal."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.dsp.stft import hann_window
from vocoder.features.mel import MelSpec
from vocoder.generators.pitched.hiftnet import HiFTNet
from vocoder.nn.pitch import MelPitch
from vocoder.nn.weight_norm import fold_weight_norm

SPEC = MelSpec(sample_rate=8000, n_fft=256, hop_length=64, win_length=256, n_mels=32)
DILATIONS = [[1, 3, 5], [1, 2, 4]]


def test_is_the_published_network() -> None:
    """Written out again: slopes, paddings, strides, kernels, Snake, the order of its alphas."""
    torch.manual_seed(0)
    generator = HiFTNet(
        mel=SPEC,
        pitch=MelPitch(SPEC, channels=4, blocks=1),
        upsample_rates=[4, 4],
        upsample_kernel_sizes=[8, 8],
        channels=8,
        resblock_kernel_sizes=[3, 5],
        resblock_dilations=DILATIONS,
    ).eval()
    for name, parameter in generator.named_parameters():
        if name.endswith("alpha"):
            parameter.data.uniform_(0.5, 2.0)
    fold_weight_norm(generator)
    weights = generator.state_dict()
    assert weights["noise_res.0.convs1.0.weight"].shape == (4, 4, 7)
    assert weights["noise_res.1.convs1.0.weight"].shape == (2, 2, 11)

    def conv(name: str, x: Tensor, dilation: int = 1) -> Tensor:
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        padding = dilation * (weight.shape[-1] - 1) // 2
        return F.conv1d(x, weight, bias, dilation=dilation, padding=padding)

    def refined(name: str, x: Tensor, dilations: list[int]) -> Tensor:
        alphas = [weights[f"{name}.activations.{n}.alpha"][:, None] for n in range(6)]
        for step, dilation in enumerate(dilations):
            y = x + torch.sin(alphas[2 * step] * x) ** 2 / alphas[2 * step]
            y = conv(f"{name}.convs1.{step}", y, dilation)
            y = y + torch.sin(alphas[2 * step + 1] * y) ** 2 / alphas[2 * step + 1]
            x = x + conv(f"{name}.convs2.{step}", y)
        return x

    mel, f0 = torch.randn(2, 32, 6) - 3.0, torch.tensor([[0.0, 110, 115, 120, 0, 0]]).expand(2, -1)
    window = hann_window(16, 16)
    source = torch.stft(generator.source(f0)[:, 0], 16, 4, window=window, return_complex=True)
    # In the reflected first column phases are 0 or pi, which rounding must not make -pi.
    source.imag[source.imag.abs() <= 1e-6 * source.abs().amax(dim=1, keepdim=True)] = 0.0
    source = torch.cat([source.abs(), source.angle()], dim=1)
    x = conv("conv_pre", mel)
    for stage in range(2):
        weight, bias = weights[f"ups.{stage}.weight"], weights[f"ups.{stage}.bias"]
        x = F.conv_transpose1d(F.leaky_relu(x, 0.1), weight, bias, stride=4, padding=2)
        weight, bias = weights[f"noise_convs.{stage}.weight"], weights[f"noise_convs.{stage}.bias"]
        if stage == 0:
            injected = F.conv1d(source, weight, bias, stride=4, padding=2)
        else:
            injected = F.conv1d(source, weight, bias)
            x = F.pad(x, (1, 0), mode="reflect")
        x = x + refined(f"noise_res.{stage}", injected, [1, 3, 5])
        x = sum(refined(f"resblocks.{stage}.{n}", x, d) for n, d in enumerate(DILATIONS)) / 2
    bins = conv("head.out", F.leaky_relu(x, 0.01))
    spectrum = bins[:, :9].exp() * torch.exp(1j * torch.sin(bins[:, 9:]))
    expected = torch.istft(spectrum, 16, 4, window=window)
    difference = (generator(mel, f0)[:, 0] - expected).abs().max()
    assert difference < 1e-6 * expected.abs().max()
