"""Benchmark command bench artefacts."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vocoder.cli.commands.bench.streams import Markdown
from vocoder.errors import AudioError, ConfigError, VocoderError

if TYPE_CHECKING:
    from torch import Tensor

    from vocoder.cli.files.sources import Source

_COLOURS = 200


def artefacts(
    recordings: Annotated[
        list[str],
        typer.Argument(metavar="RECORDING…", help="Clean recordings: files, folders, patterns."),
    ],
    count: Annotated[
        int, typer.Option(metavar="N", min=1, help="Recordings, as many of each argument.")
    ] = 100,
    planted: Annotated[
        int, typer.Option(metavar="N", min=1, help="Recordings that artefacts are planted in.")
    ] = 40,
    seconds: Annotated[
        float, typer.Option(metavar="S", min=1.0, help="Length that is examined.")
    ] = 8.0,
    pictures: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Draw a planted artefact of each kind, as .png."),
    ] = None,
    markdown: Markdown = False,
) -> None:
    """Measure at which levels artefacts are found.

    Artefacts are planted at several levels, and looked for with the recording as reference and
    alone. False alarms are counted on the recordings alone, and against the recording after changes
    that do no harm: 16-bit FLAC, Vorbis, resampling, another phase, 1 dB less.
    """
    from vocoder.bench import table
    from vocoder.cli.progress import printable
    from vocoder.evaluation.artefacts.calibration.measure import FalseAlarms, sensitivity
    from vocoder.evaluation.artefacts.calibration.planted import PLANTED
    from vocoder.evaluation.artefacts.calibration.table import caption, rows

    read = _read(_chosen(recordings, count), seconds)
    alarms = FalseAlarms()
    for name, audio, rate in read:
        alarms.add(name, audio, rate)
    clean = [(audio, rate) for _, audio, rate in read]
    some = clean[:: max(1, len(clean) // planted)][:planted]
    measured = [sensitivity(kind, some) for kind in PLANTED]
    table_rows = rows(measured, alarms)
    if markdown:
        typer.echo(table.markdown(table_rows, caption(measured, alarms), first="detector"))
    else:
        for name, cells in table_rows:
            typer.echo(f"{name:12s} {'   '.join(f'{key} {cell}' for key, cell in cells.items())}")
        for condition, found in alarms.alarms.items():
            for lines in found.values():
                for line in lines:
                    typer.echo(printable(f"{condition}: {line}"))
    if pictures is not None:
        _draw(pictures, clean)


def _chosen(arguments: Sequence[str], count: int) -> "list[Source]":
    """At most `count` recordings, evenly from each argument and over each folder."""
    from vocoder.cli.files.sources import find_sources
    from vocoder.io.audio import READ_SUFFIXES

    chosen = []
    share = -(-count // len(arguments))
    for argument in arguments:
        sources, problems = find_sources([argument], READ_SUFFIXES)
        if problems:
            raise VocoderError(problems[0])
        step = max(1.0, len(sources) / share)
        chosen += [sources[int(n * step)] for n in range(min(share, len(sources)))]
    return chosen[:count]


def _read(sources: "Sequence[Source]", seconds: float) -> "list[tuple[str, Tensor, int]]":
    """Name, beginning [T] with averaged channels, and sample rate of each recording.

    Those that detectors cannot examine are left out with a note; ConfigError if none is left.
    """
    from vocoder.evaluation.artefacts.catalogue import check
    from vocoder.io.audio import read_audio

    read = []
    for source in sources:
        audio, rate = read_audio(source.path)
        mono = audio.mean(0)[: round(seconds * rate)]
        try:
            check(mono, rate, "recording")
        except AudioError as error:
            typer.echo(f"note: {source.path} is left out: {error}", err=True)
            continue
        read.append((source.path.name, mono, rate))
    if not read:
        raise ConfigError("none of the recordings can be examined")
    return read


def _draw(folder: Path, recordings: "Sequence[tuple[Tensor, int]]") -> None:
    """Write a picture of a planted artefact for each detector that found one."""
    from vocoder.evaluation.artefacts.calibration.measure import examples
    from vocoder.evaluation.artefacts.picture import picture
    from vocoder.plots.style import save

    folder.mkdir(parents=True, exist_ok=True)
    for name, (artefact, pair) in examples(recordings).items():
        reference = pair.reference.audio if pair.reference else None
        estimate = pair.estimate
        drawn = picture(artefact, estimate.audio, estimate.sample_rate, reference)
        path = folder / f"{name}.png"
        save(drawn, path, dpi=72)
        _reduce(path)
        typer.echo(str(path))


def _reduce(path: Path) -> None:
    """Write a picture again with few colours, which makes it three times smaller."""
    from PIL import Image

    from vocoder.io.atomic import replacing_file

    with Image.open(path) as picture:
        few = picture.convert("RGB").quantize(_COLOURS, method=Image.Quantize.FASTOCTREE)
    with replacing_file(path) as temporary:
        few.save(temporary, format="PNG", optimize=True)
