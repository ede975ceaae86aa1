"""MusicHiFi's bandwidth extension adds nothing below `preserve_below`."""

import pytest
import torch
from torch import Tensor

from vocoder.errors import ConfigError
from vocoder.features.mel import MelSpec
from vocoder.generators.bandwidth_extension.musichifi import MusicHiFiBWE
from vocoder.generators.base import Generator

RATE, HOP, PRESERVE_BELOW, SAMPLES = 44100, 512, 10000.0, 64 * 512
MEL = MelSpec(sample_rate=RATE, n_fft=2048, hop_length=HOP, win_length=2048, n_mels=8)


class FixedOutput(Generator):
    """A vocoder whose output does not depend on the mel."""

    features = ("mel",)

    def __init__(self, audio: Tensor) -> None:
        super().__init__(hop_length=HOP)
        self.audio = audio

    def forward(self, mel: Tensor) -> Tensor:
        return self.audio


def added(made: Tensor) -> Tensor:
    """What is added to silence when the vocoder generates `made`."""
    network = MusicHiFiBWE(
        mel=MEL,
        vocoder=FixedOutput(made),
        preserve_below=PRESERVE_BELOW,
        cutoff_range=[11025.0, 11025.0],
    )
    change: Tensor = network(torch.zeros(1, 1, SAMPLES))
    return change


def spectrum(audio: Tensor) -> Tensor:
    """Magnitudes of what lies away from the ends.   Shape: [1, 1, T] → [K]."""
    inside = audio[0, 0, 2048:-2048].double()
    return torch.fft.rfft(inside * torch.kaiser_window(len(inside), False, 14.0)).abs()


def sweep() -> Tensor:
    """Full scale from 0 Hz to the end of the band."""
    seconds = torch.arange(SAMPLES) / RATE
    turns = 0.5 * (RATE / 2) * seconds.square() / seconds[-1]
    return torch.sin(2.0 * torch.pi * turns)[None, None]


@pytest.mark.parametrize("kind", ["noise", "sweep"])
def test_low_band_is_preserved_for_any_vocoder_output(kind: str) -> None:
    torch.manual_seed(0)
    made = torch.randn(1, 1, SAMPLES) if kind == "noise" else sweep()
    change, full = spectrum(added(made)), spectrum(made)
    hz = torch.linspace(0.0, RATE / 2, len(change))
    loudest = full.square().mean().sqrt()
    assert change[hz < PRESERVE_BELOW].max() < 1e-3 * loudest  # -60 dB
    above = hz > PRESERVE_BELOW + 500.0
    torch.testing.assert_close(change[above], full[above], rtol=1e-2, atol=1e-3 * float(loudest))


def test_the_narrow_band_passes_and_what_is_added_has_no_delay() -> None:
    click = torch.zeros(1, 1, SAMPLES)
    click[..., 9000] = 1.0
    assert added(click)[0, 0].argmax() == 9000
    network = MusicHiFiBWE(
        mel=MEL,
        vocoder=FixedOutput(torch.zeros(1, 1, SAMPLES)),
        preserve_below=PRESERVE_BELOW,
        cutoff_range=[11025.0, 11025.0],
    )
    assert torch.equal(network(sweep()), sweep())


def test_parts_must_fit() -> None:
    silent = FixedOutput(torch.zeros(1, 1, 1))
    with pytest.raises(
        ConfigError, match="preserve_below is 12000.0 Hz, but the lowest cutoff is 11025.0"
    ):
        MusicHiFiBWE(
            mel=MEL, vocoder=silent, preserve_below=12000.0, cutoff_range=[11025.0, 11025.0]
        )
    silent.hop_length = 256
    with pytest.raises(ConfigError, match="hop_length 256"):
        MusicHiFiBWE(
            mel=MEL, vocoder=silent, preserve_below=PRESERVE_BELOW, cutoff_range=[11025.0, 11025.0]
        )
