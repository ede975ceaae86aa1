"""Mel files that are vocoded in groups on a GPU, some ahead of their turn."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from vocoder.errors import VocoderError
from vocoder.features.mel import MelSpec
from vocoder.features.mel_check import check_mel
from vocoder.features.mel_conversion import convert
from vocoder.inference.long.mel_files import MelSource
from vocoder.io.audio import StrPath, write_audio

if TYPE_CHECKING:
    from vocoder.inference.vocoder import Vocoder

_AHEAD = 64  # files that are read together, of which those of similar lengths form batches


class FileGroups:
    """Vocodes mel files as `Vocoder.file` does, on a GPU those of similar lengths as batches.

    There the audio of up to 64 short files of `paths` is made when the first of them is asked for,
    and kept until its turn comes. `spec` has the settings of files that state none.
    """

    def __init__(self, vocoder: "Vocoder", paths: Sequence[Path], spec: MelSpec | None) -> None:
        self.vocoder, self.spec = vocoder, spec
        self.ahead = vocoder.device.type != "cpu"
        self._paths, self._place = paths, {path: n for n, path in enumerate(paths)}
        self._made: dict[Path, Tensor] = {}
        self._tried: set[Path] = set()

    def file(self, mel: MelSource, target: StrPath) -> int:
        """Vocode one of the files into an audio file; returns the samples written."""
        place = self._place.get(mel.path) if self.ahead else None
        if place is not None and mel.path not in self._tried:
            following = self._paths[place : place + _AHEAD]
            self._make([path for path in following if path not in self._tried])
        if mel.path not in self._made:  # on a CPU, long, or with an error or a warning
            return self.vocoder.file(mel, target, spec=self.spec)
        audio = self._made.pop(mel.path)
        write_audio(target, audio, self.vocoder.sample_rate)
        return len(audio)

    def _make(self, paths: Sequence[Path]) -> None:
        """Vocode those of some files that are short and like other recordings."""
        self._tried.update(paths)
        mels = {}
        for path in paths:
            try:
                mel = self._read(path)
            except VocoderError:
                continue  # its turn comes
            if mel is not None:
                mels[path] = mel
        made = self.vocoder.batch(list(mels.values()))
        self._made.update(zip(mels, (audio.cpu() for audio in made), strict=True))

    def _read(self, path: Path) -> Tensor | None:
        """A mel on the model's device, with the model's settings."""
        mel, own = MelSource(path), self.vocoder.spec
        given = mel.spec or self.spec or own
        frames = mel.frames(given)
        if self.vocoder.is_long(frames) or check_mel(mel.sample(given), given):
            return None
        (whole,) = mel.parts(given, (0, frames))
        return convert(whole, given, own).to(self.vocoder.device)
