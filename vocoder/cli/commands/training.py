"""Commands for training: prepare, systems, train."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vocoder.cli.options import (
    Engine,
    EngineName,
    Jobs,
    Normalisation,
    Preset,
    mel_settings,
    missing_extra,
)
from vocoder.errors import ConfigError

if TYPE_CHECKING:
    from vocoder.data.audit import Audit
    from vocoder.data.manifest import Clip


def prepare(
    folder: Annotated[
        str,
        typer.Argument(
            metavar="DIR | TARS",
            help="Recordings, in folders of any depth, or shards, as in 'a/train-{000..127}.tar'.",
        ),
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
    min_seconds: Annotated[float, typer.Option(help="Leave out shorter recordings.")] = 0.3,
    mels: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Mel files to pair with the recordings, by name."),
    ] = None,
    preset: Preset = None,
    normalisation: Normalisation = None,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Use the mel settings of this model.")
    ] = None,
    narrowband: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Degraded copies to pair with the recordings, by name."),
    ] = None,
    shards: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Pack what is usable into tars in this folder or URL."),
    ] = None,
    shard_size: Annotated[
        int, typer.Option(metavar="MB", min=1, help="Size of a tar of --shards.")
    ] = 1000,
    jobs: Jobs = None,
    engine: Engine = EngineName.LOCAL,
) -> None:
    """Audit recordings and write a manifest of the usable ones.

    `vocoder train` reads the manifest. Every file is checked: sample rate, channels, clipping,
    silence, real bandwidth, duplicates. What cannot be used is left out, and listed with the
    reason.

    --mels is for fine-tuning on the mels of an acoustic model ([M, F], [F, M] or [1, M, F]). Files
    that do not contain their settings are taken to have those of --preset or --model, with
    --normalisation. Each is compared with the recording: a mel may be one frame longer or shorter
    and is trimmed; with more, or nepers away, the pair is left out and named as an error.

    --index is a CSV file, or a list of names followed by |, as LJSpeech's metadata.csv.

    --narrowband is for bandwidth extension from real recordings: copies of the same time span
    through another microphone or channel, at any sample rate. The lengths may differ by 20 ms; the
    longer file is trimmed.

    Recordings may lie in tars of the webdataset layout, on disk or in object storage: KEY.flac,
    with KEY.json (split, speaker, licence), KEY.mel.npy or KEY.narrowband.flac. The manifest then
    says where each file begins, so that training reads crops without unpacking. --shards packs a
    corpus into such tars.
    """
    from vocoder.cli.files.batch import measuring
    from vocoder.data.audit import audit
    from vocoder.data.corpus.measured import MeasuredFiles
    from vocoder.data.manifest import write_manifest
    from vocoder.inference.vocoder import load

    settings = mel_settings(preset, normalisation, model=model or "default")
    with MeasuredFiles(output.parent / f".{output.name}.measured") as measured:
        result = audit(
            folder,
            index=index,
            only=_selection(only or []),
            min_seconds=min_seconds,
            mels=mels,
            mel_spec=load(model, mel=settings).spec if model else settings,
            narrowband=narrowband,
            each=measuring(jobs, engine),
            measured=measured,
        )
    clips = result.clips
    if shards:
        clips = _packed(clips, shards, shard_size * 10**6)
    write_manifest(output, clips)
    measured.remove()
    if measured.found:
        typer.echo(f"{measured.found} files were measured before")
    raise typer.Exit(_show_audit(result, output))


def systems(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """List the systems that `vocoder train` can train.

    A system is a published configuration: generator, mel, discriminators, losses. The number of
    weights is that of the generator.
    """
    from rich.console import Console

    try:
        from vocoder.training import catalogue
    except ModuleNotFoundError as error:
        raise missing_extra("training", error) from error
    if markdown:
        typer.echo(catalogue.markdown())
    else:
        Console().print(catalogue.table())


def train(
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Overrides, passed to Hydra.")
    ] = None,
) -> None:
    """Train a model on a manifest of `vocoder prepare`.

    A system is one file of configs/system/, listed by `vocoder systems`; KEY=VALUE changes a
    setting of it. -m runs every combination of comma-separated values, --cfg job prints the
    configuration.
    """
    try:
        from vocoder.training.run import main as run
    except ModuleNotFoundError as error:
        raise missing_extra("training", error) from error
    raise typer.Exit(run(overrides or []))


def _packed(clips: "list[Clip]", folder: str, most: int) -> "list[Clip]":
    """The clips, packed into tars of at most about `most` bytes."""
    from rich.console import Console

    from vocoder.cli.progress import progress_bar
    from vocoder.data.shards.writing import write_shards

    with progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task("packing", total=len(clips))
        return write_shards(
            clips, folder, most=most, progress=lambda done, _: bar.update(task, completed=done)
        )


def _show_audit(result: "Audit", output: Path) -> int:
    """Print what the audit found; returns the exit code."""
    from rich.console import Console

    from vocoder.cli.describe import audit_tables
    from vocoder.cli.progress import report
    from vocoder.data.audit import OVERALL

    single = [problem for problem in result.problems if problem.kind not in OVERALL]
    for table in audit_tables(result._replace(problems=single)):
        Console().print(table)
    for problem in result.problems:
        if problem.kind in OVERALL:
            typer.echo(f"warning: {problem.path}: {problem.explanation}", err=True)
    if result.empty_splits:
        typer.echo(
            f"warning: {output}: no clips in split {' and '.join(result.empty_splits)}, training "
            "needs train and valid: cut long recordings into three files or more, or set the "
            "splits with --index",
            err=True,
        )
    trimmed = f", {result.trimmed} pairs trimmed to the shorter" if result.trimmed else ""
    typer.echo(f"{output}  {len(result.clips)} clips{trimmed}")
    return report([f"{p.path}: {p.explanation}" for p in result.problems if p.kind == "unpaired"])


def _selection(pairs: list[str]) -> dict[str, list[str]]:
    selection: dict[str, list[str]] = {}
    for pair in pairs:
        column, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"--only {pair}: write COLUMN=VALUE")
        selection.setdefault(column, []).append(value)
    return selection
