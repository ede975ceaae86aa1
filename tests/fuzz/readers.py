"""What a user calls for each kind of file."""

import io
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch

from tests.fuzz import networks, seeds
from tests.fuzz.seeds import Files
from vocoder.build import build
from vocoder.checkpoint import load_start
from vocoder.cli.pipe import PcmWriter, read_f32, read_npy, run
from vocoder.data.audit import audit
from vocoder.data.manifest import read_manifest, target_clips
from vocoder.errors import VocoderError
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.features.mel_conversion import layout
from vocoder.importers.importer import import_checkpoint
from vocoder.inference.description import describe
from vocoder.inference.vocoder import Vocoder, griffin_lim
from vocoder.io.audio import probe, read_audio, read_blocks
from vocoder.io.mel_file import read_mel, read_spec


class Reader(NamedTuple):
    """Valid files, the function that reads one (or its mutation), and the name in messages.

    `run` gets the path of the first of the files. What it calls after the file has been read need
    not name it: the command does.
    """

    seeds: Callable[[], list[Files]]
    run: Callable[[Path], None]
    named: str | None = None

    def origin(self, folder: Path) -> str:
        return self.named or str(folder)


def _mel(path: Path) -> None:
    mel, spec = read_mel(path)
    with suppress(VocoderError):
        layout(mel, spec or seeds.SPEC)


def _model(folder: Path) -> None:
    load_start(folder)
    describe(str(folder))  # loads it as a vocoder or an extender, and plans its stream


def _checkpoint(path: Path) -> None:
    folder = path if path.is_dir() else path.parent
    discriminators = folder / networks.DISCRIMINATORS
    import_checkpoint(path, discriminators=discriminators if discriminators.exists() else None)


def _audio(path: Path) -> None:
    info = probe(path)
    read_audio(path)
    read_audio(path, start=info.samples // 2, frames=100)
    for _ in read_blocks(path, frames=300):
        pass


def _manifest(path: Path) -> None:
    if path.name == "index.csv":
        audit(path.parent / "wavs", index=path, min_seconds=0.01)
        return
    read_manifest(path)
    target_clips(path, split="train", sample_rate=8000, takes={"mel": True, "narrowband": True})


def _preset(path: Path) -> None:
    spec = read_spec(str(path))
    with suppress(VocoderError):
        silence = torch.tensor(spec.silence)
        assert len(silence) == spec.n_mels
        if spec.n_fft <= 2**16:
            MelSpectrogram(spec)(torch.zeros(1, 1, 8 * spec.hop_length))


@cache
def _live() -> Vocoder:
    config = griffin_lim(MelSpec.preset("hifigan_22k_80"))
    generator = build(seeds.generator(80, 256), "generator")
    return Vocoder(generator, config)


def _stream(path: Path) -> None:
    vocoder = _live()
    read = read_f32 if path.suffix == ".f32" else read_npy
    source = cast(io.BufferedIOBase, io.BufferedReader(io.FileIO(path)))
    with source:
        mels = read(source, spec=vocoder.spec, chunk=32)
        live = vocoder.stream(arrays=np.ndarray)
        run(live, mels, PcmWriter(io.BytesIO(), sample_rate=vocoder.sample_rate))


READERS = {
    "mel": Reader(seeds.mels, _mel),
    "model": Reader(networks.models, _model),
    "checkpoint": Reader(networks.checkpoints, _checkpoint),
    "audio": Reader(seeds.audio, _audio),
    "manifest": Reader(seeds.manifests, _manifest),
    "preset": Reader(seeds.presets, _preset),
    "stream": Reader(seeds.streams, _stream, named="std"),
}


def reader_of(name: str) -> Reader:
    """A reader by its name here, or by "module:name" for one that is defined elsewhere."""
    module, _, attribute = name.partition(":")
    if attribute:
        found: Reader = getattr(import_module(module), attribute)
        return found
    return READERS[name]
