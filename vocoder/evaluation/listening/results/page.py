"""Page of the results of a listening test."""

from pathlib import Path

from vocoder.evaluation.listening.results.analysis import ListeningResults, Rated, median_minutes
from vocoder.evaluation.listening.results.picture import results_figure
from vocoder.evaluation.listening.results.table import tables
from vocoder.pages.page import write_page
from vocoder.plots.style import page_svg

_TEMPLATE = Path(__file__).parent / "templates" / "listening_results.html"


def write_results_page(results: ListeningResults, path: Path) -> None:
    """Write tables, picture, listeners and comments as one HTML file that needs no network.

    Raises ConfigError for a missing package, VocoderError if the file cannot be written.
    """
    rated = isinstance(results.outcome, Rated)
    words = "Boxes of the ratings of each system" if rated else "Shares of answers with intervals"
    write_page(
        path,
        _TEMPLATE,
        styles=("listening_results.css",),
        scripts=("table.js",),
        results=results,
        tables=tables(results),
        picture=page_svg(results_figure(results), f"{words}; the table has the numbers"),
        rated=rated,
        minutes=median_minutes(results),
    )
