"""The fixtures, and copies of them that may be damaged."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.generators.base import Generator

Command = Callable[..., Any]
Weights = dict[str, Tensor]
FIXTURES = Path(__file__).parent / "fixtures"
# Folder → its checkpoint, and the project whose format it is.
VOCODERS = {
    "hifigan_v1": ("g_00000010", "jik876/hifi-gan"),
    "hifigan_v3": ("g_00000010", "jik876/hifi-gan"),
    "bigvgan_v1": ("bigvgan_generator.pt", "NVIDIA/BigVGAN"),
    "bigvgan_v2": ("", "NVIDIA/BigVGAN"),
    "bigvsan": ("g_00000010", "sony/bigvsan"),
    "pwg_hifigan": ("checkpoint-400000steps.pkl", "kan-bayashi/ParallelWaveGAN"),
    "pwg_melgan": ("checkpoint-400000steps.pkl", "kan-bayashi/ParallelWaveGAN"),
    "pwg_multi_band_melgan": ("checkpoint-400000steps.pkl", "kan-bayashi/ParallelWaveGAN"),
    "pwg_parallel_wavegan": ("checkpoint-400000steps.pkl", "kan-bayashi/ParallelWaveGAN"),
    "vocos_center": ("", "gemelo-ai/vocos"),
    "vocos_same": ("pytorch_model.bin", "gemelo-ai/vocos"),
    "hiftnet": ("g_00000010", "yl4579/HiFTNet"),
    "speecht5": ("", "transformers"),
    "fastspeech2": ("model.safetensors", "transformers"),
    "melgan": ("best_netG.pt", "descriptinc/melgan-neurips"),
    "speechbrain": ("", "speechbrain"),
}
# Vocoders without a pitch network, which need F0.
PITCHED = {
    "nsf_hifigan": ("", "openvpi/SingingVocoders"),
    "mini_nsf_hifigan": ("model", "openvpi/SingingVocoders"),
}
EXTENDERS: dict[str, tuple[str, str]] = {
    "ap_bwe": ("g_8kto48k", "yxlu-0102/AP-BWE"),
    "eben": ("generator.ckpt", "jhauret/eben"),
    "hifi_gan_bwe": ("ckpt-0200k.pt", "brentspell/hifi-gan-bwe"),
    "hifi_sr": ("g_00000010", "modelscope/ClearerVoice-Studio"),
    "vibravox": ("", "jhauret/vibravox"),
}
CASES = VOCODERS | PITCHED | EXTENDERS


class Case(NamedTuple):
    """A fixture: the checkpoint, its format, and arrays with an input and the project's output."""

    checkpoint: Path
    title: str
    arrays: dict[str, Tensor]


def case_of(name: str) -> Case:
    file, title = CASES[name]
    with np.load(FIXTURES / name / "case.npz") as stored:
        arrays = {key: torch.from_numpy(stored[key]).float() for key in stored}
    return Case(FIXTURES / name / file, title, arrays)


def audio_of(generator: Generator, case: Case) -> Tensor:
    """Audio [T] of the fixture's mel, with its noise, or of its recording `narrowband` [T].

    A recording is padded to whole hops with zeros.
    """
    samples = len(case.arrays["wav"])
    if "narrowband" in generator.features:
        missing = -samples % generator.hop_length
        features = {"narrowband": F.pad(case.arrays["narrowband"], (0, missing))[None, None]}
    else:
        features = {name: case.arrays[name][None] for name in ("mel", "f0") if name in case.arrays}
    if "noise" in generator.features:
        features["noise"] = case.arrays["noise"][None]
    elif "noise" in case.arrays:  # of HiFTNet's source: one row per harmonic
        source = generator.get_submodule("source")
        for start, row in zip(source.starts[:, 0].tolist(), case.arrays["noise"], strict=True):
            source.noise[start : start + len(row)] = row
    with torch.inference_mode():
        audio: Tensor = generator(**features)
    return audio[0, 0] if "mel" in features else audio[0, 0, :samples]


def copy_of(name: str, folder: Path) -> Path:
    """The checkpoint of a fixture in a folder where it may be changed."""
    shutil.copytree(FIXTURES / name, folder / name)
    return folder / name / CASES[name][0]


def edit_weights(path: Path, change: Callable[[Weights], Weights]) -> None:
    """Rewrite the weights of a checkpoint, wrapped as they were."""

    def edited(content: dict[str, Any]) -> dict[str, Any]:
        if all(isinstance(value, Tensor) for value in content.values()):
            return change(content)
        return {k: edited(v) if isinstance(v, dict) else v for k, v in content.items()}

    torch.save(edited(torch.load(path, weights_only=True)), path)
