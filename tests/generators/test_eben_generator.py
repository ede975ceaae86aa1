"""EBEN: its filter bank, the bands it uses, and agreement with the authors' code."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.errors import ConfigError
from vocoder.generators.bandwidth_extension.eben import EBEN

CUTOFFS = [400.0, 2000.0]


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("bands", "cutoff"), [(2, 0.32), (4, 0.158867)])
def test_without_the_network_all_bands_reconstruct_the_recording_up_to_its_ends(
    bands: int, cutoff: float
) -> None:
    bank = {"bands": bands, "lowest": bands, "filter_size": 8 * bands, "cutoff": cutoff}
    model = EBEN(cutoff_range=CUTOFFS, channels=2, strides=[2, 2], **bank)  # type: ignore[arg-type]
    nn.init.zeros_(model.last_conv.weight)
    audio = 1e-3 * noise(1, 1, 100 * model.hop_length)  # so quiet that tanh is linear
    error = (model(audio) - audio).square().mean() / audio.square().mean()
    assert 10.0 * math.log10(error.item()) < -45.0


def test_the_upper_bands_of_the_input_are_not_used() -> None:
    model = EBEN(cutoff_range=CUTOFFS, channels=2).eval()
    time = torch.arange(40 * model.hop_length) / 16000
    low = 0.1 * torch.sin(2 * math.pi * 1000 * time)[None, None]
    high = 0.1 * torch.sin(2 * math.pi * 5000 * time)[None, None]
    middle = slice(1000, -1000)
    alone, both = model(low)[..., middle], model(low + high)[..., middle]
    assert (both - alone).abs().max() < 1e-3 * alone.abs().max()


@torch.inference_mode()
def test_a_recording_padded_with_zeros_is_computed_as_in_the_authors_code() -> None:
    """Written out again for `filter_size` samples less than whole hops, without reflect padding."""
    torch.manual_seed(0)
    model = EBEN(cutoff_range=CUTOFFS, channels=2, lowest=2, strides=[2, 4]).eval()
    audio = 0.1 * noise(1, 1, 40 * model.hop_length - 32)
    kernels = model.filters.flip(-1)
    low = F.conv1d(audio, kernels[:2], stride=4, padding=31)
    known = torch.cat([low, torch.zeros(1, 2, low.shape[-1])], dim=1)
    bands = torch.tanh(model._network(low) + known)
    theirs = F.conv_transpose1d(bands, 4 * kernels, stride=4, padding=31, output_padding=2)
    ours = model(F.pad(audio, (0, 32)))
    assert theirs.shape == audio.shape
    torch.testing.assert_close(ours[..., :-32], theirs, rtol=0.0, atol=1e-6)


def test_the_hop_is_that_of_the_filter_bank_times_the_strides() -> None:
    assert EBEN(cutoff_range=CUTOFFS, channels=2).hop_length == 256
    assert EBEN(cutoff_range=CUTOFFS, channels=2, bands=2, strides=[3]).hop_length == 6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lowest": 0}, "lowest is 0"),
        ({"lowest": 5}, "lowest is 5"),
        ({"strides": []}, "strides of at least 2"),
        ({"strides": [2, 1]}, "strides of at least 2"),
        ({"channels": 0}, "channels is 0"),
        ({"filter_size": 30}, "twice their number"),
        ({"cutoff_range": [2000.0, 400.0]}, "cutoff_range"),
    ],
)
def test_impossible_sizes_are_named(change: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        EBEN(**{"cutoff_range": CUTOFFS, "channels": 2} | change)  # type: ignore[arg-type]
