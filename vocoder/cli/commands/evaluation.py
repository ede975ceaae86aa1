"""The command evaluate."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vocoder.cli.options import Engine, EngineName, Jobs, missing_extra
from vocoder.cli.progress import report
from vocoder.errors import ConfigError

if TYPE_CHECKING:
    from vocoder.evaluation.comparison import Evaluation
    from vocoder.evaluation.frechet import Embedding
    from vocoder.evaluation.scoring import Scoring

_PAGE_FILES = 30


def _list_metrics(wanted: bool) -> None:
    """Print all metrics, with what they need, and end the command."""
    if not wanted:
        return
    from rich.console import Console

    from vocoder.evaluation.metrics.overview import overview

    Console().print(overview())
    raise typer.Exit


def evaluate(
    reference: Annotated[Path, typer.Argument(metavar="REF", help="The recordings, a folder.")],
    estimates: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[GEN]…", help="What each system made of them, in folders."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="A folder for the page to listen to and all scores; or a .json."
        ),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="Score copy synthesis by this model, and time it. Repeat for more.",
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,…",
            help="Metrics, or sets of them: vocoding, extension, speech, all. See --list-metrics.",
        ),
    ] = None,
    list_metrics: Annotated[
        bool,
        typer.Option("--list-metrics", callback=_list_metrics, is_eager=True, help="Show them."),
    ] = False,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE", help="ONNX file of dnsmos or utmos, for the metrics that need it."
        ),
    ] = None,
    cutoff: Annotated[
        float | None,
        typer.Option(metavar="HZ", help="Highest frequency of the recordings that were extended."),
    ] = None,
    align: Annotated[
        bool, typer.Option(help="Remove the delay of an estimate; it is reported either way.")
    ] = True,
    artefacts: Annotated[bool, typer.Option(help="Look for artefacts.")] = True,
    frechet: Annotated[
        str | None,
        typer.Option(
            metavar="dsp|FILE", help="Fréchet distance, over spectra or an embedding in ONNX."
        ),
    ] = None,
    worst: Annotated[
        int, typer.Option(metavar="N", min=0, help="Show the N worst files of the first metric.")
    ] = 0,
    page_files: Annotated[
        int, typer.Option(metavar="N", min=1, help="Most utterances to hear on the page.")
    ] = _PAGE_FILES,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    jobs: Jobs = None,
    engine: Engine = EngineName.LOCAL,
) -> None:
    """Score what systems made of recordings.

    Files are paired by name, aligned, and compared; several systems stand side by side, with
    intervals and paired tests. -o FOLDER writes index.html, a page that needs no network, and
    scores.csv and scores.json with every file and definition.

    --metrics chooses what is measured, by default vocoding, or extension with --cutoff; all that
    there is, with units and needs, is shown by --list-metrics.
    """
    try:
        from vocoder.evaluation.scoring import Scoring
    except ModuleNotFoundError as error:
        raise missing_extra("evaluation", error, extra="eval") from error
    if not estimates and not models:
        raise ConfigError("name the folders of one or more systems, or a --model")
    scoring = Scoring(
        metrics=tuple(metrics.split(",")) if metrics else (),
        cutoff=cutoff,
        weights=_weights(weights or []),
        align=align,
        artefacts=artefacts,
        embedding=_embedding(frechet),
    )
    with _folder_of_copies(output, models) as copies:
        evaluation = _evaluation(
            reference, estimates or [], models or [], scoring, copies, jobs, engine
        )
        _print(evaluation, markdown=markdown, worst=worst)
        if output is not None:
            _save(evaluation, output, page_files)
    raise typer.Exit(report(_not_scored(evaluation)))


def _evaluation(
    reference: Path,
    folders: list[Path],
    models: list[str],
    scoring: "Scoring",
    copies: Path,
    jobs: int | None,
    engine: str,
) -> "Evaluation":
    """Reports of all systems, with a progress bar."""
    from vocoder.cli.files.batch import measuring
    from vocoder.cli.files.copies import make_copies
    from vocoder.evaluation.comparison import Copies, Evaluation, with_copies
    from vocoder.evaluation.pairing import recordings
    from vocoder.evaluation.scoring import evaluate

    systems = dict(zip(system_names(folders), folders, strict=True))
    copied: dict[str, Copies] = {}
    for model, name in zip(models, system_names([Path(model) for model in models]), strict=True):
        if name in systems:
            raise ConfigError(f"two systems are called {name}; rename the folder")
        systems[name] = copies / name
        found = recordings(reference)
        copied[name] = make_copies(model, found, copies / name, cutoff=scoring.cutoff)
    each = measuring(jobs, engine)
    reports = {
        name: evaluate(reference, folder, scoring, each=each) for name, folder in systems.items()
    }
    reports |= {name: with_copies(reports[name], made) for name, made in copied.items()}
    return Evaluation(reference=reference, reports=reports)


def system_names(paths: list[Path]) -> list[str]:
    """The last parts of paths, or the whole paths where two of these are equal."""
    short = [path.resolve().name for path in paths]
    return short if len(set(short)) == len(short) else [str(path) for path in paths]


@contextmanager
def _folder_of_copies(output: Path | None, models: list[str] | None) -> Iterator[Path]:
    """Where the copies by models go: into the report, or a folder that is removed."""
    if output is not None and output.suffix != ".json":
        yield output / "audio"
        return
    with tempfile.TemporaryDirectory(prefix="vocoder-") as folder:
        yield Path(folder)


def _weights(given: list[str]) -> dict[str, Path]:
    """Files by name."""
    files = {}
    for each in given:
        name, sign, path = each.partition("=")
        if not sign or not path:
            raise ConfigError(f"--weights {each}: give NAME=FILE, as in dnsmos=sig_bak_ovr.onnx")
        files[name] = Path(path)
    return files


def _embedding(name: str | None) -> "Embedding | None":
    from vocoder.evaluation.frechet import OnnxEmbedding, spectral_embedding

    if name is None:
        return None
    return spectral_embedding if name == "dsp" else OnnxEmbedding(Path(name))


def _print(evaluation: "Evaluation", *, markdown: bool, worst: int) -> None:
    from rich.console import Console

    from vocoder.evaluation import table

    if markdown:
        typer.echo(table.markdown(evaluation))
        return
    console = Console()
    console.print(table.comparison(evaluation))
    for note in table.notes(evaluation):
        typer.echo(note)
    if worst:
        console.print(table.worst_files(evaluation, next(iter(evaluation.metrics)), worst))


def _save(evaluation: "Evaluation", output: Path, page_files: int) -> None:
    """Write the scores, and in a folder the page with them."""
    from rich.console import Console

    from vocoder.cli.progress import progress_bar
    from vocoder.evaluation.listening.page import write_report

    if output.suffix == ".json":
        evaluation.save(output)
        typer.echo(f"{output}, {output.with_suffix('.csv')}")
        return
    evaluation.save(output / "scores.json")
    with progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)
        page = output / "index.html"
        write_report(evaluation, page, files=page_files, on_file=lambda _: bar.advance(task))
    typer.echo(f"{page}, {output / 'scores.json'}, {output / 'scores.csv'}")


def _not_scored(evaluation: "Evaluation") -> list[str]:
    """A line for every file that could not be compared, and for a system without any score."""
    lines = [
        f"{system}: {name}: {reason}"
        for system, report in evaluation.reports.items()
        for name, reason in report.unscored.items()
    ]
    return lines + [
        f"{system}: nothing could be scored"
        for system, report in evaluation.reports.items()
        if not report.summary
    ]
