"""Valid model directories and checkpoints of other projects, all of them tiny."""

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tests.fuzz.seeds import SMALL, Files, generator, read_folder, saved
from tests.importers.cases import CASES, FIXTURES
from vocoder.build import build
from vocoder.checkpoint import ModelConfig, save_model
from vocoder.importers.importer import import_checkpoint

DISCRIMINATORS = "do_00000010"
# One fixture of each kind of network.
NETWORKS = ("bigvgan_v2", "hiftnet", "pwg_melgan", "pwg_multi_band_melgan", "pwg_parallel_wavegan")
NETWORKS += ("vocos_center", "ap_bwe", "eben", "hifi_gan_bwe", "hifi_sr")


@cache
def models() -> list[Files]:
    """Model directories: one with a state to fine-tune from, and imported ones of many kinds."""
    small = build(generator(8, 16), "generator")
    config = ModelConfig(name="small", mel=SMALL, generator=generator(8, 16))
    moments = {
        name: {"step": torch.tensor(3.0), "exp_avg": weight, "exp_avg_sq": weight.square()}
        for name, weight in small.state_dict().items()
    }
    member = nn.Conv1d(1, 2, 3).state_dict()
    start = {
        "discriminators": {"mpd": member},
        "optimizers": {"generator": moments, "discriminators": {}},
        "steps": 10,
    }
    found = [_saved_model(small, config, start)]
    for name in NETWORKS:
        imported = import_checkpoint(FIXTURES / name / CASES[name][0])
        found.append(_saved_model(imported.generator, imported.config, None))
    return found


def _saved_model(model: nn.Module, config: ModelConfig, start: dict[str, Any] | None) -> Files:
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder) / "model", model, config, start=start)
        return {"": b"", **read_folder(Path(folder) / "model")}


@cache
def checkpoints() -> list[Files]:
    """Checkpoints of other projects with their configuration files."""
    found = []
    for name, (file, _) in CASES.items():
        files = read_folder(FIXTURES / name)
        del files["case.npz"]
        found.append({file: files.pop(file, b""), **files})
    hifigan = dict(found[0])
    hifigan[DISCRIMINATORS] = _discriminators()
    return [*found, hifigan]


def _discriminators() -> bytes:
    """What lies beside HiFi-GAN's generators; its networks do not fit, which is found late."""
    networks: dict[str, dict[str, Tensor]] = {}
    for name in ("mpd", "msd"):
        module = nn.ModuleDict({"discriminators": nn.ModuleList([nn.Conv1d(1, 2, 3)])})
        networks[name] = module.state_dict()
    weight = nn.Parameter(torch.ones(3))
    weight.grad = torch.ones(3)
    optimizer = torch.optim.AdamW([weight])
    optimizer.step()
    state = optimizer.state_dict()
    return saved({**networks, "optim_g": state, "optim_d": state, "steps": 10, "epoch": 1})
