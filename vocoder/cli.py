"""The `vocoder` command: parse, call, exit code. What it does lies in the modules it calls.

Those are imported inside the commands, so that `--help` is instant and nothing needs an extra that
it does not use.
"""

import functools
import json
import sys
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from vocoder import __version__
from vocoder.cli_options import (
    AudioFormat,
    AudioFormatOption,
    Device,
    Inputs,
    MelFormat,
    MelFormatOption,
    Model,
    Output,
    Preset,
    Threads,
)
from vocoder.errors import ConfigError, VocoderError

_HELP = """Neural vocoders: turn mel spectrograms into audio, and train models that do it.

\b
Examples:
  vocoder mel speech/ -o mels/           recordings to mel files
  vocoder vocode mels/*.npy -o out/      mel files to audio
  vocoder resynth a.wav b.mp3 -o out/    audio to mel and back
  vocoder info                           the built-in models

\b
Exit codes:
  0    all is well
  2    wrong usage or bad input: one line on stderr for each problem;
       a batch still does everything that can be done
  130  stopped by Ctrl-C; no file is left half-written

Every command explains itself: vocoder COMMAND --help
"""

app = typer.Typer(
    help=_HELP,
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _examples(*lines: str) -> str:
    # The first character tells the help formatter to leave the line breaks alone.
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """What comes before a command."""


@app.command(
    epilog=_examples(
        "vocoder mel speech/ -o mels/",
        "vocoder mel a.wav -o a.safetensors --preset vocos_24k_100",
    )
)
def mel(
    inputs: Inputs,
    output: Output,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Make them for this model.")
    ] = None,
    preset: Preset = None,
    file_format: MelFormatOption = None,
    threads: Threads = None,
) -> None:
    """Make mel files from recordings (wav, flac, ogg, mp3).

    Channels are averaged and the sample rate is converted. The files say how they were made.
    Without --model or --preset they fit the default model.
    """
    from vocoder.audio import READ_SUFFIXES, read_audio
    from vocoder.checkpoint import GRIFFIN_LIM
    from vocoder.melfile import read_spec, write_mel
    from vocoder.synthesis import load

    settings = read_spec(preset) if preset else None
    vocoder = load(model or (GRIFFIN_LIM if settings else "default"), mel=settings)

    def make(source: Path, target: Path) -> float:
        audio, sample_rate = read_audio(source)
        write_mel(target, vocoder.mel(audio, sample_rate=sample_rate), vocoder.spec)
        return audio.shape[-1] / sample_rate

    _run_batch(inputs, READ_SUFFIXES, output, MelFormat, file_format, make)


@app.command(
    epilog=_examples(
        "vocoder vocode mels/*.npy -o out/",
        "vocoder vocode a.pt -o a.flac --model runs/mine/best",
        "vocoder vocode mels/ -o out/ --model griffin-lim",
    )
)
def vocode(
    inputs: Inputs,
    output: Output,
    model: Model = "default",
    preset: Preset = None,
    file_format: AudioFormatOption = None,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Turn mel files (npy, pt, safetensors) into audio.

    A mel is [M, F], [F, M] or [1, M, F]. Files of `vocoder mel` say how they were made and are
    converted to what the model wants, where that is exact; others are taken to be as the model
    wants them, or as --preset says. The model griffin-lim follows the settings of each file.
    """
    from vocoder.audio import write_audio
    from vocoder.checkpoint import GRIFFIN_LIM
    from vocoder.melfile import SUFFIXES, read_mel, read_spec
    from vocoder.synthesis import load

    settings = read_spec(preset) if preset else None
    any_mel = model == GRIFFIN_LIM
    own = load(model, device=device, mel=settings if any_mel else None)
    fitting = functools.cache(lambda spec: load(model, device=device, mel=spec))

    def make(source: Path, target: Path) -> float:
        mel, stated = read_mel(source)
        spec = stated or settings
        vocoder = fitting(spec) if any_mel and spec else own
        audio = vocoder(mel, spec=spec)
        write_audio(target, audio, vocoder.sample_rate)
        return len(audio) / vocoder.sample_rate

    _run_batch(inputs, SUFFIXES, output, AudioFormat, file_format, make)


@app.command(
    epilog=_examples(
        "vocoder resynth speech/*.wav -o out/",
        "vocoder resynth a.flac -o a.wav --model griffin-lim --preset bigvgan_24k_100",
    )
)
def resynth(
    inputs: Inputs,
    output: Output,
    model: Model = "default",
    preset: Preset = None,
    file_format: AudioFormatOption = None,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Pass recordings through a model and back to audio.

    This lets you hear what the model loses. The output has the model's sample rate and the length
    of the input, in mono. --preset is for griffin-lim.
    """
    from vocoder.audio import READ_SUFFIXES, read_audio, write_audio
    from vocoder.melfile import read_spec
    from vocoder.synthesis import load

    vocoder = load(model, device=device, mel=read_spec(preset) if preset else None)

    def make(source: Path, target: Path) -> float:
        audio, sample_rate = read_audio(source)
        write_audio(target, vocoder.resynth(audio, sample_rate=sample_rate), vocoder.sample_rate)
        return audio.shape[-1] / sample_rate

    _run_batch(inputs, READ_SUFFIXES, output, AudioFormat, file_format, make)


@app.command(
    epilog=_examples(
        "vocoder info",
        "vocoder info default",
        "vocoder info runs/mine/best --json",
    )
)
def info(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="Without it, all built-in models.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Describe a model, or list the built-in ones.

    Shows mel settings, size, licences, how the model was trained and what it scores.
    """
    from rich.console import Console

    from vocoder.describe import builtin_table, describe, describe_builtin, model_table

    facts = describe(model) if model else describe_builtin()
    if as_json:
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        Console().print(model_table(facts) if isinstance(facts, dict) else builtin_table(facts))


@app.command(
    epilog=_examples(
        "vocoder prepare speech/ -o manifest.csv",
        "vocoder prepare data/ -o lj.csv --index data/index.csv --only speaker=lj",
    )
)
def prepare(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Recordings, searched to the bottom.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The manifest to write, a CSV file.")
    ],
    index: Annotated[
        Path | None, typer.Option(help="CSV with a column path, and split, speaker, licence.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=VALUE", help="Keep these index rows; repeat for more values."),
    ] = None,
    min_seconds: Annotated[float, typer.Option(help="Leave out what is shorter.")] = 0.3,
) -> None:
    """Audit a folder of recordings and list what is usable.

    The list is the manifest that `vocoder train` reads.
    Every file is read: sample rate, channels, clipping, silence, real bandwidth, duplicates. What
    cannot be used is left out, and listed with the reason.
    """
    from rich.console import Console

    from vocoder.batch import progress_bar
    from vocoder.data.audit import audit
    from vocoder.data.manifest import write_manifest
    from vocoder.describe import audit_tables

    with progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)
        result = audit(
            folder,
            index=index,
            only=_selection(only or []),
            min_seconds=min_seconds,
            progress=lambda done, count: bar.update(task, completed=done, total=count),
        )
    write_manifest(output, result.clips)
    for table in audit_tables(result):
        Console().print(table)
    typer.echo(f"{output}  {len(result.clips)} clips")


@app.command(
    context_settings={"ignore_unknown_options": True},
    epilog=_examples(
        "vocoder train system=hifigan_v1 data.manifest=manifest.csv",
        "vocoder train system=demo data.manifest=manifest.csv trainer.max_steps=500",
        "vocoder train -m system=hifigan_v2,vocos_24k data.manifest=manifest.csv",
    ),
)
def train(
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Passed to Hydra as they are.")
    ] = None,
) -> None:
    """Train a model on a manifest of `vocoder prepare`.

    A system is one file of configs/system/; KEY=VALUE changes what is in it. -m tries every
    combination of comma-separated values, --cfg job prints the configuration.
    """
    try:
        from vocoder.training.run import main as run
    except ModuleNotFoundError as error:
        raise _missing_extra("training", error) from error
    raise typer.Exit(run(overrides or []))


@app.command(
    epilog=_examples(
        "vocoder evaluate speech/ out/",
        "vocoder evaluate speech/ out/mine out/griffin-lim -o scores/ --markdown",
    )
)
def evaluate(
    reference: Annotated[Path, typer.Argument(metavar="REF_DIR", help="The recordings.")],
    estimates: Annotated[
        list[Path], typer.Argument(metavar="EST_DIR", help="What each model made of them.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Save scores per file: a .json, or a directory of them."
        ),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Score folders of audio against the recordings.

    Files pair up by their names; several folders are shown side by side.
    """
    from rich.console import Console

    from vocoder.batch import Source, plan, progress_bar, report

    try:
        from vocoder.evaluation import report as scores
        from vocoder.evaluation import table
    except ModuleNotFoundError as error:
        raise _missing_extra("evaluation", error) from error
    sources = [Source(path, path.name) for path in estimates]
    jobs = plan(sources, output, formats=["json"]) if output else []
    with progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)
        reports = {
            str(path): scores.evaluate(
                reference, path, on_file=lambda _: bar.update(task, advance=1)
            )
            for path in estimates
        }
    short = len({path.name for path in estimates}) == len(estimates)
    models = {Path(path).name if short else path: scored for path, scored in reports.items()}
    if markdown:
        typer.echo(table.markdown(models))
    else:
        Console().print(table.comparison(models))
    for job in jobs:
        reports[str(job.source)].save(job.target)
    unscored = [
        f"{path}: {name}: {reason}"
        for path, scored in reports.items()
        for name, reason in scored.unscored.items()
    ]
    raise typer.Exit(report(unscored))


def _run_batch(
    inputs: list[str],
    suffixes: Iterable[str],
    output: Path,
    formats: type[StrEnum],
    chosen: StrEnum | None,
    make: Callable[[Path, Path], float],
) -> None:
    from vocoder.batch import find_sources, plan, run

    sources, problems = find_sources(inputs, suffixes)
    jobs = plan(sources, output, formats=list(formats), chosen=chosen)
    raise typer.Exit(run(jobs, make, problems=problems))


def _selection(pairs: list[str]) -> dict[str, list[str]]:
    selection: dict[str, list[str]] = {}
    for pair in pairs:
        column, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"--only {pair}: write COLUMN=VALUE")
        selection.setdefault(column, []).append(value)
    return selection


def _missing_extra(what: str, error: ModuleNotFoundError) -> VocoderError:
    if (error.name or "").split(".")[0] == "vocoder":
        raise error
    return ConfigError(f"{what} needs {error.name}: pip install 'vocoder[train]'")


def main() -> None:
    """Entry point: bad input ends with one line on stderr and exit code 2."""
    try:
        app(prog_name="vocoder")
    except VocoderError as error:
        from vocoder.batch import report

        sys.exit(report([str(error)]))
