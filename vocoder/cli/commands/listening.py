"""Listening tests: the page that listeners take, and what their answers say."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from vocoder.errors import ConfigError, VocoderError

if TYPE_CHECKING:
    from vocoder.evaluation.listening.results.analysis import ListeningResults
    from vocoder.evaluation.listening.trials.design import TestKind


class TestName(StrEnum):
    """Kinds of listening tests."""

    __test__ = False  # or pytest takes the class for tests

    MUSHRA = "mushra"
    ABX = "abx"
    AB = "ab"


class ComparedName(StrEnum):
    """What ABX and AB compare."""

    REFERENCE = "reference"
    SYSTEMS = "systems"
    ALL = "all"


def listen_test(
    reference: Annotated[Path, typer.Argument(metavar="REF", help="The recordings, a folder.")],
    estimates: Annotated[
        list[Path], typer.Argument(metavar="GEN…", help="What each system made, in folders.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The page, a .html.")
    ],
    kind: Annotated[
        TestName,
        typer.Option(help="mushra: ratings; abx: which one is X; ab: which one is better."),
    ] = TestName.MUSHRA,
    trials: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Trials with all systems (mushra), or of each comparison; default: up to 10.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="S", help="Of the utterances and codes.")] = 0,
    compare: Annotated[
        ComparedName,
        typer.Option(help="abx and ab: systems with the recording, with each other, or both."),
    ] = ComparedName.REFERENCE,
    anchors: Annotated[
        str,
        typer.Option(metavar="HZ,…", help="mushra: low-passed copies of the recording; or none."),
    ] = "3500",
    controls: Annotated[
        int,
        typer.Option(metavar="N", min=0, help="abx and ab: trials that anyone who listens hears."),
    ] = 4,
    seconds: Annotated[
        float, typer.Option(metavar="S", min=0.5, help="Most of an utterance to play.")
    ] = 12.0,
    scores: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="scores.json of vocoder evaluate: choose utterances from good to bad.",
        ),
    ] = None,
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "",
    consent: Annotated[
        str, typer.Option(metavar="TEXT", help="What listeners agree to before they begin.")
    ] = "",
    post: Annotated[
        str, typer.Option(metavar="URL", help="Send the answers there; else they are a file.")
    ] = "",
) -> None:
    """Make a listening test (MUSHRA, ABX or AB) in one page.

    mushra follows ITU-R BS.1534-3: all systems, a hidden reference and an anchor on one screen,
    rated from 0 to 100. abx asks whether a difference is heard, ab which of two is better. Sounds
    are aligned, of equal length and loudness; each listener gets an order of his own. The page
    needs no network. vocoder listen-results reads the files that listeners send back.
    """
    from rich.console import Console

    from vocoder.cli.commands.evaluation import system_names
    from vocoder.cli.progress import progress_bar
    from vocoder.evaluation.listening.trials.design import TestSettings, design_test
    from vocoder.evaluation.listening.trials.page import write_listening_test

    if output.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"{output}: name a page, as test.html")
    settings = TestSettings(
        kind=cast("TestKind", kind.value),
        trials=trials,
        seed=seed,
        anchors=_anchors(anchors),
        compared=compare.value,
        controls=controls,
        longest=seconds,
        scores=scores,
    )
    systems = dict(zip(system_names(estimates), estimates, strict=True))
    if len(systems) < len(estimates):
        raise ConfigError("a system is named twice")
    with progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)
        test = design_test(reference, systems, settings, on_file=lambda _: bar.advance(task))
    digest = write_listening_test(test, output, title=title, consent=consent, post=post)
    for note in test.notes:
        typer.echo(f"note: {note}", err=True)
    count = sum(trial.role != "practice" for trial in test.trials)
    typer.echo(f"{output}: test {digest}, {count} trials, about {test.minutes} minutes")


def _anchors(text: str) -> tuple[float, ...]:
    """Frequencies from "3500,7000" or "none"; ConfigError for anything else."""
    if text == "none":
        return ()
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--anchors {text!r} is not as 3500, as 3500,7000 or as none") from error
    if not all(50.0 <= hertz <= 1e6 for hertz in found) or len(set(found)) < len(found):
        raise ConfigError(f"--anchors {text!r}: name different frequencies from 50 Hz on")
    return found


def listen_results(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE…", help="What listeners sent back; folders are searched."),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Everything, as .json.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    page: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Tables and picture in one .html.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Boxes per system, .png, .svg or .pdf.")
    ] = None,
    keep_all: Annotated[
        bool, typer.Option("--keep-all", help="Count listeners who fail the screening, too.")
    ] = False,
) -> None:
    """Analyse the answers to a listening test.

    Says which listeners are left out and why, and how many listeners the differences seen would
    need. Damaged files and those of another test are named, and the others analysed.
    """
    from vocoder.cli.progress import report
    from vocoder.evaluation.listening.results.analysis import analyse
    from vocoder.evaluation.listening.results.page import write_results_page
    from vocoder.evaluation.listening.results.picture import results_figure
    from vocoder.evaluation.listening.results.sheets import collect
    from vocoder.plots.style import check_format, save

    if output is not None and output.suffix.lower() != ".json":
        raise ConfigError(f"{output}: choose a name that ends in .json")
    if picture is not None:
        check_format(picture)
    collected = collect(files)
    if not collected.sheets:
        raise typer.Exit(report([*collected.problems, "no answers to analyse"]))
    try:
        results = analyse(collected, screening=not keep_all)
    except VocoderError as error:
        raise typer.Exit(report([*collected.problems, str(error)])) from error
    _show(results, markdown=markdown)
    if output is not None:
        results.save(output)
    if picture is not None:
        save(results_figure(results), picture)
    if page is not None:
        write_results_page(results, page)
    made = [str(path) for path in (output, picture, page) if path is not None]
    if made:
        typer.echo(", ".join(made))
    raise typer.Exit(report(collected.problems))


def _show(results: "ListeningResults", *, markdown: bool) -> None:
    from rich.console import Console

    from vocoder.evaluation.listening.results import table

    if markdown:
        typer.echo(table.markdown(results))
        return
    console = Console()
    for each in table.tables(results):
        console.print(each.rich())
        console.print()
    for note in results.notes:
        typer.echo(note)
