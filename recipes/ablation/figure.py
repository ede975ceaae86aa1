"""Draw bar charts of the scores of several models, with their confidence intervals."""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # works without a display
import matplotlib.pyplot as plt

from vocoder.evaluation.report import Report, Summary


def draw(reports: dict[str, Report], target: Path) -> None:
    """Draw one panel per metric with one bar per model, and write the figure to `target`."""
    summaries = {name: report.summary for name, report in reports.items()}
    metrics = list(next(iter(summaries.values())))
    figure, panels = plt.subplots(1, len(metrics), figsize=(2.6 * len(metrics), 3.6), sharey=True)
    names = list(summaries)
    for panel, metric in zip(panels, metrics, strict=True):
        shown = [summaries[name].get(metric, Summary(float("nan"), 0.0, 0, 0)) for name in names]
        about = next(iter(reports.values())).metrics[metric]
        panel.barh(
            names,
            [score.mean for score in shown],
            xerr=[score.half_width or 0.0 for score in shown],
            color="#4878a8",
            ecolor="#202020",
            capsize=2,
        )
        better = {"higher": "↑", "lower": "↓"}[about["better"]]
        panel.set_title(f"{metric} {better}\n({about['unit']})", fontsize=9)
        panel.tick_params(labelsize=8)
        low = min(score.mean - (score.half_width or 0.0) for score in shown)
        high = max(score.mean + (score.half_width or 0.0) for score in shown)
        panel.set_xlim(max(0.0, low - 0.3 * (high - low)), high + 0.05 * (high - low))
    panels[0].invert_yaxis()
    figure.tight_layout()
    figure.savefig(target, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scores", type=Path, help="the folder of `vocoder evaluate -o`")
    parser.add_argument("names", nargs="+", help="models in the order to show")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    reports = {name: Report.load(arguments.scores / f"{name}.json") for name in arguments.names}
    draw(reports, arguments.output)


if __name__ == "__main__":
    main()
