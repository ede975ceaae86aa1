"""Embed a trained model in the package: half precision, licences of its recipe, scores."""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import torch

from vocoder.checkpoint import load_model, save_model
from vocoder.evaluation.comparison import Evaluation

HERE = Path(__file__).parent
ASSETS = HERE.parent / "vocoder" / "assets"


def summary(place: str) -> dict[str, Any]:
    """The mean of each metric of a system, from SCORES.json:SYSTEM."""
    path, _, system = place.rpartition(":")
    report = Evaluation.load(Path(path)).reports[system]
    return {name: round(value.mean, 4) for name, value in report.summary.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="of the built-in model, and of its recipe")
    parser.add_argument("model", type=Path, help="directory of the trained model")
    parser.add_argument("--scores", action="append", default=[], metavar="SET=SCORES.json:SYSTEM")
    arguments = parser.parse_args()
    generator, config = load_model(arguments.model)
    settings = config.training["config"]
    # Paths on the machine that trained the model do not belong in the package.
    settings["data"]["manifest"] = Path(settings["data"]["manifest"]).name
    settings["trainer"]["output"] = Path(settings["trainer"]["output"]).name
    command = f"recipes/{arguments.name}/run.sh CORPUS"
    scores = dict(pair.split("=", 1) for pair in arguments.scores)
    config = dataclasses.replace(
        config,
        name=arguments.name,
        licences=json.loads((HERE / arguments.name / "licences.json").read_text(encoding="utf-8")),
        training={"command": command, "steps": config.training["steps"], "config": settings},
        scores={name: summary(path) for name, path in scores.items()},
    )
    save_model(ASSETS / arguments.name, generator, config, dtype=torch.float16)
    print(ASSETS / arguments.name)


if __name__ == "__main__":
    main()
