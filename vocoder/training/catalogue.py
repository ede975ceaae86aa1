"""The systems in configs/system as a table of their generators, discriminators and losses."""

import functools
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import hydra
import torch
from rich.table import Table

from vocoder.build import build
from vocoder.nn.weight_norm import count_weights
from vocoder.training.run import config_folder, plain

HEADINGS = ("system", "generator", "weights", "input", "discriminators", "adversarial", "losses")
_SHOWN = 4  # columns that fit a terminal


class Entry(NamedTuple):
    """One row of the table of systems."""

    system: str
    """Name of the system."""
    generator: str
    """Class of the generator."""
    weights: str
    """Number of the generator's weights, weight norm folded in."""
    input: str
    """Sample rate, bands and hop of a mel, or the sample rate of audio that is extended."""
    discriminators: str
    """Names of the discriminators in the configuration, and of the augmentation before them."""
    adversarial: str
    """Class of the adversarial loss."""
    losses: str
    """Names of the other losses in the configuration."""


def entries() -> Iterator[Entry]:
    """One entry for each system, sorted by name."""
    with hydra.initialize_config_dir(str(config_folder()), version_base="1.3"):
        for path in sorted((config_folder() / "system").glob("*.yaml")):
            overrides = [f"system={path.stem}", "data.manifest=none"]
            yield _entry(plain(hydra.compose("train", overrides)))


def table() -> Table:
    """Table of the systems for the terminal, in 80 characters; `markdown` has all columns."""
    result = Table(*HEADINGS[:_SHOWN], box=None, pad_edge=False)
    for column in result.columns:
        column.no_wrap = True
    for entry in entries():
        result.add_row(*entry[:_SHOWN])
    return result


def markdown() -> str:
    """Table of the systems in Markdown, with all columns, for the manual."""
    rows = [HEADINGS, ["---"] * len(HEADINGS), *entries()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _entry(config: dict[str, Any]) -> Entry:
    mel, objective = config["mel"], config["objective"]
    discriminators = ", ".join(config["discriminators"])
    augmentation = ", ".join(config["augmentation"])
    adversarial = objective.get("adversarial")
    form = f"{mel['n_mels']} × {mel['hop_length']}" if "mel" in config["features"] else "audio"
    losses = [*objective["reconstruction"], *objective.get("auxiliary", ())]
    return Entry(
        system=config["name"],
        generator=_class(config["generator"]),
        weights=_millions(json.dumps(config["generator"])),
        input=f"{mel['sample_rate'] / 1000:g} kHz {form}",
        discriminators=" behind ".join(filter(None, [discriminators, augmentation])) or "–",
        adversarial=_class(adversarial) if adversarial else "–",
        losses=", ".join(losses) or "–",
    )


def _class(node: dict[str, Any]) -> str:
    return str(node["_target_"]).rpartition(".")[2]


@functools.cache  # several systems share a generator
def _millions(generator: str) -> str:
    with torch.device("meta"):  # saves the memory and the initialisation of the weights
        network = build(json.loads(generator))
    return f"{count_weights(network) / 1e6:.3g} M"
