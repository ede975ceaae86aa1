"""Commands that draw: plot, report."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from vocoder.cli.options import Preset
from vocoder.errors import ConfigError


class AxisName(StrEnum):
    """Spacings of the frequency axis."""

    LINEAR = "linear"
    LOG = "log"
    MEL = "mel"


class StyleName(StrEnum):
    """Looks of a figure."""

    LIGHT = "light"
    DARK = "dark"


def _size(text: str) -> tuple[float, float]:
    """Width and height from WxH; ConfigError for anything else."""
    try:
        width, height = (float(part) for part in text.lower().split("x"))
    except ValueError as error:
        raise ConfigError(f"--size {text!r} is not WIDTHxHEIGHT, as 6.3x4") from error
    if not (0.5 <= width <= 100.0 and 0.5 <= height <= 100.0):
        raise ConfigError(f"--size {text!r} is not between 0.5 and 100 inches")
    return width, height


def plot(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT…", help="Audio files and mel files.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="A .png, .svg or .pdf.")
    ] = Path("plot.png"),
    panels: Annotated[
        str | None,
        typer.Option(
            metavar="KIND,…",
            help="Of audio: waveform, spectrogram, mel. By default the first two, with --preset "
            "all three.",
        ),
    ] = None,
    difference: Annotated[
        bool,
        typer.Option("--difference", help="Draw the others less the first input, in dB, too."),
    ] = False,
    f0: Annotated[
        bool, typer.Option("--f0", help="Draw the fundamental frequency over audio's spectra.")
    ] = False,
    preset: Preset = None,
    axis: Annotated[
        AxisName, typer.Option(help="Frequency axis of spectrograms.")
    ] = AxisName.LINEAR,
    window: Annotated[
        float, typer.Option(metavar="MS", min=1.0, max=1000.0, help="Window of spectrograms.")
    ] = 40.0,
    f_max: Annotated[
        float | None, typer.Option("--f-max", metavar="HZ", help="Highest frequency.")
    ] = None,
    begin: Annotated[
        float, typer.Option("--from", metavar="SECONDS", min=0.0, help="Begin here.")
    ] = 0.0,
    end: Annotated[float | None, typer.Option("--to", metavar="SECONDS", help="End here.")] = None,
    dynamic_range: Annotated[
        float, typer.Option(metavar="DB", min=1.0, help="Levels shown below the highest.")
    ] = 80.0,
    labels: Annotated[
        str | None,
        typer.Option(metavar="NAME,…", help="A title for each input instead of its file name."),
    ] = None,
    title: Annotated[str, typer.Option(help="Title of the figure.")] = "",
    columns: Annotated[int, typer.Option(metavar="N", min=1, help="Inputs beside each other.")] = 1,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Width and height in inches.")
    ] = None,
    dpi: Annotated[
        float, typer.Option(metavar="N", min=20.0, max=1200.0, help="Pixels per inch.")
    ] = 150.0,
    style: Annotated[StyleName, typer.Option(help="Colours of the figure.")] = StyleName.LIGHT,
) -> None:
    """Draw waveforms, spectrograms, mels and their differences.

    All panels have one time axis, and spectra of one kind have one colour scale. The same inputs
    give the same bytes.
    """
    from vocoder.io.mel_file import read_spec
    from vocoder.plots.figure import figure
    from vocoder.plots.inputs import read_drawn
    from vocoder.plots.panels import PanelSettings, arranged
    from vocoder.plots.style import check_format, save

    check_format(output)
    inches = _size(size) if size else None
    spec = read_spec(preset) if preset else None
    default = ("waveform", "spectrogram", "mel") if spec else ("waveform", "spectrogram")
    settings = PanelSettings(
        kinds=panels.split(",") if panels else default,
        spec=spec,
        f_max=f_max,
        window_ms=window,
        axis=axis.value,
        f0=f0,
        dynamic_range=dynamic_range,
    )
    short = len({path.name for path in inputs}) == len(inputs)
    own = [path.name if short else str(path) for path in inputs]
    names = labels.split(",") if labels else own
    if len(names) != len(inputs):
        raise ConfigError(f"--labels has {len(names)} names for {len(inputs)} inputs")
    if difference and len(inputs) < 2:
        raise ConfigError("--difference needs two inputs or more")
    drawn = [read_drawn(path, begin=begin, end=end, spec=spec) for path in inputs]
    placed, notes = arranged(drawn, names, settings, differences=difference, columns=columns)
    made = figure(
        placed,
        title=title,
        columns=min(columns, len(placed)),
        size=inches,
        style=style.value,
        dynamic_range=dynamic_range,
    )
    save(made, output, dpi=dpi)
    for note in notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(str(output))


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN_DIR…", help="Folders of runs, or folders with runs in them."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The page, a .html.")
    ] = Path("report.html"),
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="CURVE", help="Compare with this curve.jsonl; default: of the runs' recipe."
        ),
    ] = None,
) -> None:
    """Show training runs in a page: curves, scores, sounds.

    The page works offline and needs no other file. Runs that are training can be shown, too.
    """
    from vocoder.training.runs.report.page import write_report

    for sentence in write_report(output, runs, reference=reference):
        typer.echo(sentence)
    typer.echo(str(output))
