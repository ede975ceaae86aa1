"""NSF-HiFiGAN is HiFi-GAN with a source at every stage."""

import dataclasses

import pytest
import torch

from vocoder.errors import ConfigError
from vocoder.features.mel import MelSpec
from vocoder.generators.hifigan import HiFiGAN
from vocoder.generators.pitched.nsf import NSFHiFiGAN
from vocoder.nn.pitch import MelPitch

SPEC = MelSpec(sample_rate=8000, n_fft=256, hop_length=64, win_length=256, n_mels=32)
SIZES = {
    "upsample_rates": [8, 4, 2],
    "upsample_kernel_sizes": [16, 8, 4],
    "channels": 16,
    "resblock": "1",
    "resblock_kernel_sizes": [3, 5],
    "resblock_dilations": [[1, 3], [1, 2]],
}


@pytest.fixture
def generator() -> NSFHiFiGAN:
    torch.manual_seed(0)
    return NSFHiFiGAN(mel=SPEC, pitch=MelPitch(SPEC, channels=4, blocks=1), **SIZES).eval()


def test_without_its_source_it_is_hifigan(generator: NSFHiFiGAN) -> None:
    """Weights of a HiFi-GAN load under the same names."""
    hifigan = HiFiGAN(n_mels=32, hop_length=64, **SIZES)
    missing, unexpected = generator.load_state_dict(hifigan.state_dict(), strict=False)
    assert {name.split(".")[0] for name in missing} == {"pitch", "source", "noise_convs"}
    assert not unexpected
    for conv in generator.noise_convs:
        torch.nn.init.zeros_(conv.weight)
        torch.nn.init.zeros_(conv.bias)
    mel, f0 = torch.randn(2, 32, 7), torch.full((2, 7), 150.0)
    assert torch.allclose(generator(mel, f0), hifigan(mel), atol=1e-6)


def test_a_change_of_f0_takes_effect_at_its_frame(generator: NSFHiFiGAN) -> None:
    """The audio changes from half a frame before it on, at most a few frames earlier."""
    mel, f0 = torch.randn(1, 32, 60), torch.full((1, 60), 150.0)
    later = f0.clone()
    later[:, 30:] = 180.0
    differs = (generator(mel, f0) != generator(mel, later))[0, 0].nonzero()
    assert 26 * 64 < int(differs[0]) < 31 * 64


def test_names_the_fix() -> None:
    spec = dataclasses.replace(SPEC, hop_length=32)
    with pytest.raises(ConfigError, match="upsample by 64 but hop_length is 32"):
        NSFHiFiGAN(mel=spec, pitch=MelPitch(spec, channels=4, blocks=1), **SIZES)
