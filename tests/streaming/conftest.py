"""Small vocoders whose streams are quick."""

import pytest
import torch

from vocoder.checkpoint import ModelConfig
from vocoder.features.mel import MelSpec
from vocoder.generators.hifigan import HiFiGAN
from vocoder.generators.nsf import NSFHiFiGAN
from vocoder.nn.pitch import MelPitch
from vocoder.synthesis import Vocoder

SPEC = MelSpec(sample_rate=8000, n_fft=128, hop_length=32, win_length=128, n_mels=20)
SIZES = {
    "upsample_rates": [8, 4],
    "upsample_kernel_sizes": [16, 8],
    "channels": 16,
    "resblock": "1",
    "resblock_kernel_sizes": [3, 5],
    "resblock_dilations": [[1, 3], [1, 2]],
}


def tiny(*, causal: bool = False) -> Vocoder:
    torch.manual_seed(0)
    generator = HiFiGAN(n_mels=SPEC.n_mels, hop_length=SPEC.hop_length, causal=causal, **SIZES)
    return Vocoder(generator, ModelConfig(name="tiny", mel=SPEC, generator={}))


@pytest.fixture(scope="session")
def vocoder() -> Vocoder:
    return tiny()


@pytest.fixture(scope="session")
def causal_vocoder() -> Vocoder:
    return tiny(causal=True)


@pytest.fixture(scope="session")
def pitched_vocoder() -> Vocoder:
    torch.manual_seed(0)
    pitch = MelPitch(SPEC, channels=8, blocks=1)
    generator = NSFHiFiGAN(mel=SPEC, pitch=pitch, **SIZES)
    return Vocoder(generator, ModelConfig(name="pitched", mel=SPEC, generator={}))


@pytest.fixture
def mel() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(SPEC.n_mels, 60) - 5.0
