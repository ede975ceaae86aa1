"""A training loop on one clip for a generator of your own. CPU, a few seconds.

python egs/new_generator.py
"""

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.generators.base import Generator
from vocoder.io.audio import read_audio, resample_soxr
from vocoder.losses.spectral import LogMelL1


class Frames(Generator):
    """One linear layer from a mel frame to the samples of its hop: the smallest there can be."""

    features = ("mel",)

    def __init__(self, *, n_mels: int, hop_length: int) -> None:
        super().__init__(hop_length=hop_length)
        self.layer = nn.Linear(n_mels, hop_length)

    def forward(self, mel: Tensor) -> Tensor:
        """Shape: [B, M, F] → [B, 1, F * hop_length]."""
        return self.layer(mel.transpose(1, 2)).flatten(1)[:, None] / math.sqrt(mel.shape[1])


def main() -> None:
    torch.manual_seed(0)
    spec = MelSpec.preset("hifigan_22k_80")
    audio, rate = read_audio(Path(__file__).parent / "clips" / "lj" / "LJ001-0013.flac")
    audio = resample_soxr(audio, rate, spec.sample_rate)
    audio = audio[None, :, : audio.shape[-1] // spec.hop_length * spec.hop_length]
    generator = Frames(n_mels=spec.n_mels, hop_length=spec.hop_length)
    mel, loss = MelSpectrogram(spec)(audio), LogMelL1(spec)
    optimizer = torch.optim.AdamW(generator.parameters(), lr=1e-2)
    for step in range(101):
        error = loss(generator(mel), audio)
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        if step % 50 == 0:
            print(f"step {step:3d}  log-mel error {error.item():.3f}")


if __name__ == "__main__":
    main()
