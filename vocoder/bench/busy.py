"""Speed of the commands beside processes that keep cores busy, as on a shared machine."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import torch

from vocoder.errors import VocoderError
from vocoder.io.audio import write_audio

_RATE = 22050
_SHORT = 0.5  # seconds of audio, and a step of training: what remains is mostly the start
_FILES = 4


@dataclass(frozen=True)
class BusyBenchSettings:
    """What is run, how long, how often, and beside how many busy processes.

    `model`, `extender` and `system` are those of the commands; `seconds` is the length of the audio
    and `steps` the number of training steps; `threads` is None for the commands' own choice.
    """

    model: str = "default"
    extender: str = "extender"
    system: str = "demo"
    seconds: float = 60.0
    steps: int = 20
    repeats: int = 3
    processes: int = 1
    threads: int | None = None


@dataclass(frozen=True)
class BusyBenchResult:
    """Seconds that a command takes on a quiet machine and on a busy one, without its start."""

    command: str
    quiet: float
    busy: float

    @property
    def ratio(self) -> float:
        """Speed on the busy machine as a share of that on the quiet one."""
        return self.quiet / self.busy


def measure(settings: BusyBenchSettings) -> Iterator[BusyBenchResult]:
    """Measure one command after another: those on files, `stream` and `train`.

    Every one runs in new processes, quiet and busy in turn, on the whole input and on a short one;
    the medians of the times are subtracted. Raises VocoderError if a command fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name, run in _commands(Path(folder), settings).items():
            yield _compare(name, run, settings)


def facts(result: BusyBenchResult) -> dict[str, str]:
    """Headings → cells of a result."""
    return {
        "quiet": f"{result.quiet:.2f} s",
        "busy": f"{result.busy:.2f} s",
        "speed kept": f"{result.ratio:.2f}",
    }


def _compare(
    name: str, run: Callable[[bool], float], settings: BusyBenchSettings
) -> BusyBenchResult:
    times: dict[tuple[bool, bool], list[float]] = {}
    for _ in range(settings.repeats):
        for busy in (False, True):
            with _busy_processes(settings.processes if busy else 0):
                for short in (False, True):
                    times.setdefault((busy, short), []).append(run(short))
    middle = {key: statistics.median(values) for key, values in times.items()}
    times_of_work = (max(middle[b, False] - middle[b, True], 1e-3) for b in (False, True))
    return BusyBenchResult(name, *times_of_work)


def _commands(folder: Path, settings: BusyBenchSettings) -> Mapping[str, Callable[[bool], float]]:
    """The commands to measure; each takes whether its input is the short one."""
    recordings, mels = _recordings(folder, settings.seconds), folder / "mels"
    model, extender = ["--model", settings.model], ["--model", settings.extender]
    _vocoder("mel", folder / "audio", "-o", mels, *model)
    _vocoder("prepare", folder / "corpus", "-o", folder / "corpus.csv")
    threads = [] if settings.threads is None else ["--threads", str(settings.threads)]

    def on_file(command: str, *options: str) -> Callable[[bool], float]:
        def run(short: bool) -> float:
            source = recordings[short]
            source = mels / f"{source.stem}.npy" if command == "vocode" else source
            return _vocoder(command, source, "-o", folder / "out", *options, *threads)

        return run

    def on_files(short: bool) -> float:
        source = mels / "pieces" / ("short" if short else "long")
        return _vocoder("vocode", source, "-o", folder / "out", *model, *threads)

    def stream(short: bool) -> float:
        with (mels / f"{recordings[short].stem}.npy").open("rb") as mel:
            return _vocoder("stream", *model, *threads, stdin=mel.fileno())

    def train(short: bool) -> float:
        steps = 1 if short else 1 + settings.steps
        given = "null" if settings.threads is None else settings.threads
        return _vocoder(
            *("train", f"system={settings.system}", f"data.manifest={folder / 'corpus.csv'}"),
            *(f"trainer.output={folder / 'runs' / uuid4().hex}", "trainer.device=cpu"),
            *(f"trainer.max_steps={steps}", f"trainer.threads={given}"),
        )

    return {
        "vocode": on_file("vocode", *model),
        f"vocode, {_FILES} files": on_files,
        "resynth": on_file("resynth", *model),
        "stream": stream,
        "extend": on_file("extend", *extender, "--cutoff", "4000"),
        "train": train,
    }


def _recordings(folder: Path, seconds: float) -> dict[bool, Path]:
    """Write noise that swells like syllables; returns the long file and the short one."""
    generator = torch.Generator().manual_seed(0)

    def write(name: str, length: float) -> Path:
        time = torch.arange(int(length * _RATE)) / _RATE
        noise = torch.randn(len(time), generator=generator)
        path = folder / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_audio(path, 0.05 * noise * (1.2 + torch.sin(25.0 * time)), _RATE)
        return path

    for n in range(_FILES):
        write(f"audio/pieces/long/{n}", seconds / _FILES)
        write(f"audio/pieces/short/{n}", _SHORT / _FILES)
    for n in range(8):
        write(f"corpus/{n}", 3.0)
    return {False: write("audio/long", seconds), True: write("audio/short", _SHORT)}


def _vocoder(*arguments: str | Path, stdin: int = subprocess.DEVNULL) -> float:
    """Run a command in a new process; returns the seconds that it took."""
    command = [sys.executable, "-m", "vocoder", *map(str, arguments)]
    start = time.perf_counter()
    done = subprocess.run(command, stdin=stdin, capture_output=True, check=False)
    took = time.perf_counter() - start
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise VocoderError(f"vocoder {arguments[0]} failed: {lines[-1].removeprefix('error: ')}")
    return took


@contextmanager
def _busy_processes(count: int) -> Iterator[None]:
    """So many processes that do nothing but keep a core busy."""
    command: Sequence[str] = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(command, env=dict(os.environ)) for _ in range(count)]
    try:
        if processes:
            time.sleep(0.2)  # until they have started
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
