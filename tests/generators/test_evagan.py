"""EVA-GAN: receptive field of its context module, activations of its trunk."""

from functools import partial

import pytest
import torch

from vocoder.errors import ConfigError
from vocoder.generators.evagan import EVAGAN

narrow = partial(
    EVAGAN,
    n_mels=5,
    hop_length=4,
    context_channels=8,
    hidden=8,
    blocks=2,
    kernel_size=11,
    upsample_rates=[2, 2],
    upsample_kernel_sizes=[4, 4],
    channels=8,
    resblock_kernel_sizes=[3],
    resblock_dilations=[[1]],
)


def test_receptive_field_of_the_context_grows_by_half_a_kernel_per_block() -> None:
    torch.manual_seed(0)
    context = narrow().double().context
    mel = torch.randn(1, 5, 41, dtype=torch.float64)
    changed = mel.clone()
    changed[..., 20] += 1.0
    differs = (context(mel) != context(changed)).any(dim=1)[0].nonzero()[:, 0]
    reach = 3 + 2 * 5  # the embedding's kernel of 7, then two blocks of 11
    assert (int(differs[0]), int(differs[-1])) == (20 - reach, 20 + reach)


def test_the_trunk_is_smooth() -> None:
    """SiLU throughout, whose gradient is continuous, unlike that of a rectifier."""
    kinds = {type(module).__name__ for module in narrow().resblocks.modules()}
    assert "SiLU" in kinds and "LeakyReLU" not in kinds


def test_even_kernel_is_named() -> None:
    with pytest.raises(ConfigError, match="kernel size 8 has no center; use 9"):
        narrow(kernel_size=8)
