"""Live speech: mel frames a few at a time in, audio out as soon as it is final. No download, CPU.

python egs/stream.py [--play]              writes out/stream.wav; --play needs ffplay or aplay
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor

import vocoder
from vocoder.cli.pipe import PcmWriter

CLIP = Path(__file__).parent / "clips" / "kathleen" / "arctic_b0264.flac"
PLAYERS = (["ffplay", "-nodisp", "-autoexit", "-loglevel", "error", "-"], ["aplay", "-q", "-"])


def acoustic_model(mel: Tensor) -> Iterator[Tensor]:
    """Yield five frames at a time, as an acoustic model might.   Shape: [M, F] → [M, ≤ 5]."""
    yield from mel.split(5, dim=1)


def live(v: vocoder.Vocoder, mels: Iterator[Tensor]) -> Iterator[Tensor]:
    """Yield the audio that is final after each mel, which may be empty, and the rest at the end."""
    stream = v.stream()
    for mel in mels:
        yield stream.push(mel)
    yield stream.flush()


def main(command: list[str] | None) -> None:
    v = vocoder.load()
    recording, rate = vocoder.read_audio(CLIP)
    mel = v.mel(recording, sample_rate=rate)
    lookahead, first, pieces = v.plan().lookahead, 0.0, []
    with subprocess.Popen(command, stdin=subprocess.PIPE) if command else nullcontext() as player:
        sound = PcmWriter(player.stdin, sample_rate=v.sample_rate, wav=True) if player else None
        begin = time.perf_counter()
        for audio in live(v, acoustic_model(mel)):
            if len(audio):
                first = first or time.perf_counter() - begin
                pieces.append(audio)
            if sound:
                sound.write(audio.numpy())
    audio = torch.cat(pieces)
    vocoder.write_audio("out/stream.wav", audio, v.sample_rate)
    seconds, ahead = len(audio) / v.sample_rate, lookahead * v.spec.hop_length / v.sample_rate
    print(f"look-ahead {ahead:.2f} s, first of {seconds:.2f} s of audio after {first:.2f} s")
    print(f"largest difference to one-shot: {float((audio - v(mel)).abs().max()):.1e}")


if __name__ == "__main__":
    player = next((command for command in PLAYERS if shutil.which(command[0])), PLAYERS[0])
    main(player if "--play" in sys.argv else None)
