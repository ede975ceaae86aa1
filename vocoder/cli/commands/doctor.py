"""The doctor: what a mel, a recording, a model or a run is, and what is wrong with it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vocoder.doctor.examination import Examination


def doctor(
    things: Annotated[
        list[str],
        typer.Argument(
            metavar="THING", help="Mel files, audio files, models (directories, names), runs."
        ),
    ],
    model: Annotated[
        str, typer.Option(metavar="MODEL", help="The model that mels are meant for.")
    ] = "default",
    recording: Annotated[
        Path | None,
        typer.Option(
            metavar="AUDIO",
            help="The recording of a mel: tells exactly how it was made, or of a predicted mel, "
            "whether the acoustic model or the vocoder is at fault.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell what is wrong with mels, recordings, models and runs.

    The content of a file decides on what it is, not its name. A mel of unknown origin: its
    logarithm and normalisation, layout and bands, the preset that it fits, and the command that
    vocodes it; exactly with the --recording that it was made of. A recording: its bandwidth,
    clipping and the like. A model or run: what it is and was trained on.
    """
    from vocoder.errors import ConfigError

    if recording is not None and len(things) != 1:
        raise ConfigError(f"--recording is of one mel, not of {len(things)} things")
    raise typer.Exit(_examined(things, model, recording, as_json))


def _examined(things: list[str], model: str, recording: Path | None, as_json: bool) -> int:
    """Examine things and print what was found; returns the exit code."""
    from rich.console import Console

    from vocoder.cli.progress import report
    from vocoder.doctor.dispatch import examine
    from vocoder.doctor.examination import printed
    from vocoder.errors import VocoderError

    found: list[Examination] = []
    problems = []
    for thing in things:
        try:
            found.append(examine(thing, model, recording))
        except VocoderError as error:
            problems.append(str(error))
            continue
        if not as_json:
            if len(found) > 1:
                typer.echo()
            Console().print(printed(found[-1]))
    if as_json:
        facts = [examination.to_dict() for examination in found]
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
    return report(problems)
