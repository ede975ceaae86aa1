"""Draw bar charts of the scores of several models, with their 95 % intervals."""

import argparse
from pathlib import Path

from matplotlib.figure import Figure

from vocoder.evaluation.comparison import Evaluation


def draw(evaluation: Evaluation, names: list[str], target: Path) -> None:
    """Draw one panel per metric with one bar per model, and write the figure to `target`."""
    metrics = evaluation.metrics
    figure = Figure(figsize=(2.6 * len(metrics), 3.6), layout="constrained")
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for panel, (metric, about) in zip(panels, metrics.items(), strict=True):
        found = {name: evaluation.reports[name].summary.get(metric) for name in names}
        for name, score in found.items():
            if score is None:
                panel.barh([name], [float("nan")])
                continue
            low = score.mean if score.low is None else score.low
            high = score.mean if score.high is None else score.high
            errors = [[score.mean - low], [high - score.mean]]
            panel.barh([name], [score.mean], xerr=errors, color="#4878a8", capsize=2)
        better = {"higher": "↑", "lower": "↓"}[about["better"]]
        panel.set_title(f"{metric} {better}\n({about['unit']})", fontsize=9)
        panel.tick_params(labelsize=8)
    panels[0].invert_yaxis()
    figure.savefig(target, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scores", type=Path, help="the folder of `vocoder evaluate -o`")
    parser.add_argument("names", nargs="+", help="models in the order to show")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    draw(Evaluation.load(arguments.scores), arguments.names, arguments.output)


if __name__ == "__main__":
    main()
