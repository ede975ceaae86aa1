"""Commands for evaluation: evaluate."""

from pathlib import Path
from typing import Annotated

import typer

from vocoder.cli.options import missing_extra


def evaluate(
    reference: Annotated[Path, typer.Argument(metavar="REF_DIR", help="The recordings.")],
    estimates: Annotated[
        list[Path], typer.Argument(metavar="EST_DIR", help="The output of each model.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Save scores per file: a .json, or a directory of them."
        ),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    metrics: Annotated[
        str | None,
        typer.Option(metavar="NAME,…", help="Metrics, separated by commas."),
    ] = None,
    cutoff: Annotated[
        float | None,
        typer.Option(metavar="HZ", help="Highest frequency of the recordings that were extended."),
    ] = None,
) -> None:
    """Score folders of audio against the recordings.

    Files are paired by name; several folders are compared in one table.

    The metrics are log_mel, stft, f0_rmse, f0_median, voicing_f1, periodicity and pesq_wb. With
    --cutoff they are those of bandwidth extension: lsd, lsd_high (above the cutoff), snr_low (below
    it), spectral_convergence, log_mel and pesq_wb. --metrics selects among all these and visqol.
    """
    from rich.console import Console

    from vocoder.cli.files.sources import Source, plan
    from vocoder.cli.progress import progress_bar, report

    try:
        from vocoder.evaluation import report as scores, table
    except ModuleNotFoundError as error:
        raise missing_extra("evaluation", error) from error
    chosen = metrics.split(",") if metrics else None
    sources = [Source(path, path.resolve().name) for path in estimates]
    planned = plan(sources if output else [], output or Path(), formats=["json"])
    with progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)
        reports = {
            str(path): scores.evaluate(
                reference,
                path,
                metrics=chosen,
                cutoff=cutoff,
                on_file=lambda _: bar.update(task, advance=1),
            )
            for path in estimates
        }
    short = len({source.name for source in sources}) == len(sources)
    names = {str(source.path): source.name if short else str(source.path) for source in sources}
    models = {names[path]: scored for path, scored in reports.items()}
    if markdown:
        typer.echo(table.markdown(models))
    else:
        Console().print(table.comparison(models))
    for job in planned.jobs:
        reports[str(job.source)].save(job.target)
    unscored = [
        f"{path}: {name}: {reason}"
        for path, scored in reports.items()
        for name, reason in scored.unscored.items()
    ]
    raise typer.Exit(report([*planned.problems, *unscored]))
