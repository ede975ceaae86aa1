"""HiFi-SR: its output depends on the mel of the narrow band alone."""

import pytest
import torch

from vocoder.errors import ConfigError
from vocoder.features.mel import MelSpec
from vocoder.generators.bandwidth_extension.hifi_sr import HiFiSR


def hifi_sr(**mel: object) -> HiFiSR:
    spec = {"sample_rate": 16000, "n_fft": 64, "hop_length": 16, "win_length": 64, "n_mels": 6}
    torch.manual_seed(0)
    return HiFiSR(
        mel=MelSpec.from_dict(spec | mel),
        hidden=16,
        blocks=1,
        channels=8,
        upsample_rates=[4, 4],
        upsample_kernel_sizes=[8, 8],
        resblock_kernel_sizes=[3],
        resblock_dilations=[[1]],
        cutoff_range=[2000.0, 4000.0],
    ).eval()


def test_frequencies_above_the_mel_have_no_influence() -> None:
    time = torch.arange(1600) / 16000
    low, high = (0.1 * torch.cos(2 * torch.pi * hz * time) for hz in (1000.0, 7000.0))
    limited, full = hifi_sr(f_max=4000.0), hifi_sr()
    for network, same in ((limited, True), (full, False)):
        alone, both = (network(x[None, None]) for x in (low, low + high))
        # Away from the ends, where the reflected signal is not smooth.
        difference = (alone - both)[..., 400:-400].abs().max() / alone.std()
        assert (difference < 0.05) == same


def test_a_centered_mel_is_refused() -> None:
    with pytest.raises(ConfigError, match="use 'same'"):
        hifi_sr(padding="center")
