"""Put a trained model into the package as its default: half precision, licences, scores."""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import torch

from vocoder.checkpoint import load_model, save_model
from vocoder.evaluation.report import Report

TARGET = Path(__file__).parents[2] / "vocoder" / "assets" / "default"
LICENCES = {
    "code": "Apache-2.0",
    "weights": "CC0-1.0",
    "data": {
        "kathleen": "CC0-1.0, rhasspy/dataset-voice-kathleen",
        "nathalie": "CC0-1.0, rhasspy/dataset-voice-nathalie",
        "flemishguy": "CC0-1.0, rhasspy/dataset-voice-flemishguy",
        "gd": "public domain, gcompris/GCompris-voices",
        "lj": "public domain, LJ Speech Dataset, Keith Ito and Linda Johnson",
    },
}
COMMAND = "recipes/default/run.sh CORPUS"


def summary(path: str) -> dict[str, Any]:
    """Means of a saved report, by metric."""
    report = Report.load(Path(path))
    return {name: round(value.mean, 4) for name, value in report.summary.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="directory of the trained model")
    parser.add_argument("--scores", action="append", default=[], metavar="SET=REPORT.json")
    arguments = parser.parse_args()
    generator, config = load_model(arguments.model)
    settings = config.training["config"]
    # Where the files lay on the machine that trained is nobody's business.
    settings["data"]["manifest"] = Path(settings["data"]["manifest"]).name
    settings["trainer"]["output"] = Path(settings["trainer"]["output"]).name
    scores = dict(pair.split("=", 1) for pair in arguments.scores)
    config = dataclasses.replace(
        config,
        name="default",
        licences=LICENCES,
        training={"command": COMMAND, "steps": config.training["steps"], "config": settings},
        scores={name: summary(path) for name, path in scores.items()},
    )
    save_model(TARGET, generator, config, dtype=torch.float16)
    print(TARGET)


if __name__ == "__main__":
    main()
