"""FA-GAN is HiFi-GAN except for its upsampling, and gives no tone for a constant mel."""

from functools import partial

import pytest
import torch
from torch import Tensor

from vocoder.errors import ConfigError
from vocoder.generators.base import Generator
from vocoder.generators.fagan import FAGAN
from vocoder.generators.hifigan import HiFiGAN
from vocoder.nn.weight_norm import fold_weight_norm

SIZES = {
    "hop_length": 256,
    "upsample_rates": [8, 8, 2, 2],
    "upsample_kernel_sizes": [16, 16, 4, 4],
    "resblock": "1",
    "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilations": [[1, 3, 5]] * 3,
}


def test_folded_it_is_as_large_as_hifigan() -> None:
    """The twin costs neither weights nor arithmetic: the folded weights have the same shapes."""
    shapes = []
    for kind in (HiFiGAN, FAGAN):
        generator = kind(**SIZES, channels=32)
        fold_weight_norm(generator)
        shapes.append([weight.shape for weight in generator.state_dict().values()])
    assert shapes[0] == shapes[1]


def tone(make: partial[Generator]) -> Tensor:
    """Share of power that varies from sample to sample although the mel is constant."""
    torch.manual_seed(0)
    generator = make().double()
    mel = torch.randn(4, 80, 1, dtype=torch.float64).expand(-1, -1, 60)
    with torch.no_grad():
        inner = generator(mel=mel)[..., 20 * 256 : -20 * 256]
    return inner.var(dim=-1).mean() / inner.square().mean()


@pytest.mark.parametrize("stages", [-1, 5])
def test_an_impossible_number_of_stages_is_named(stages: int) -> None:
    with pytest.raises(ConfigError, match=rf"anti_aliased is {stages}; .* from 0 to 4"):
        FAGAN(**SIZES, channels=32, anti_aliased=stages)


def test_a_constant_mel_gives_no_tone() -> None:
    """Every layer maps constants to constants, so there are no tones at the frame rate or above."""
    assert tone(partial(HiFiGAN, **SIZES, channels=32)) > 1e-4
    assert tone(partial(FAGAN, **SIZES, channels=32)) < 1e-20
