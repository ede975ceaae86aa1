"""The systems in configs/system as a table: what each one pits against what."""

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
    """One system in words.

    `weights` counts those of the generator, weight norm folded in; `input` is sample rate, bands
    and hop of a mel, or the sample rate of audio that is extended. Discriminators and losses go by
    the names they have in the configuration.
    """

    system: str
    generator: str
    weights: str
    input: str
    discriminators: str
    adversarial: str
    losses: str


def entries() -> Iterator[Entry]:
    """Every system, in the order of their names."""
    with hydra.initialize_config_dir(str(config_folder()), version_base="1.3"):
        for path in sorted((config_folder() / "system").glob("*.yaml")):
            overrides = [f"system={path.stem}", "data.manifest=none"]
            yield _entry(plain(hydra.compose("train", overrides)))


def table() -> Table:
    """The systems for the terminal, in 80 columns; `markdown` has the other ones."""
    result = Table(*HEADINGS[:_SHOWN], box=None, pad_edge=False)
    for column in result.columns:
        column.no_wrap = True
    for entry in entries():
        result.add_row(*entry[:_SHOWN])
    return result


def markdown() -> str:
    """The systems with all columns, for the manual."""
    rows = [HEADINGS, ["---"] * len(HEADINGS), *entries()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _entry(config: dict[str, Any]) -> Entry:
    mel, objective = config["mel"], config["objective"]
    discriminators, augmentation = (
        ", ".join(config["discriminators"]),
        ", ".join(config["augmentation"]),
    )
    adversarial = objective.get("adversarial")
    taken = f"{mel['n_mels']} × {mel['hop_length']}" if "mel" in config["features"] else "audio"
    losses = [*objective["reconstruction"], *objective.get("auxiliary", ())]
    return Entry(
        system=config["name"],
        generator=_class(config["generator"]),
        weights=_millions(config["generator"]),
        input=f"{mel['sample_rate'] / 1000:g} kHz {taken}",
        discriminators=" behind ".join(filter(None, [discriminators, augmentation])) or "–",
        adversarial=_class(adversarial) if adversarial else "–",
        losses=", ".join(losses) or "–",
    )


def _class(node: dict[str, Any]) -> str:
    return str(node["_target_"]).rpartition(".")[2]


def _millions(generator: dict[str, Any]) -> str:
    with torch.device("meta"):  # no memory, and no time to initialise what is not used
        network = build(generator)
    return f"{count_weights(network) / 1e6:.3g} M"
