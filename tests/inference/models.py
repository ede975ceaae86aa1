"""Loaded models of every kind of network, small ones."""

from functools import cache

import torch
from torch import Tensor

import vocoder
from tests.importers.cases import CASES, FIXTURES
from vocoder.importers.importer import import_checkpoint
from vocoder.inference.extender import Extender
from vocoder.inference.vocoder import Vocoder

BUILT_IN = ("default", "griffin-lim", "extender")
# One fixture of each kind of network.
VOCODERS = ("hifigan_v3", "bigvgan_v2", "hiftnet", "pwg_melgan", "pwg_multi_band_melgan")
VOCODERS += ("pwg_parallel_wavegan", "vocos_center")
EXTENDERS = ("ap_bwe", "eben", "hifi_gan_bwe", "hifi_sr")
NAMES = BUILT_IN + VOCODERS + EXTENDERS


def load(name: str) -> Vocoder | Extender:
    """A built-in model, or one imported from a fixture."""
    if name == "extender":
        return vocoder.load_extender()
    if name in BUILT_IN:
        return vocoder.load(name)
    imported = import_checkpoint(FIXTURES / name / CASES[name][0])
    kind = Extender if name in EXTENDERS else Vocoder
    model: Vocoder | Extender = kind(imported.generator, imported.config)
    return model


@cache
def recording() -> Tensor:
    """A quarter of a second at 16 kHz."""
    noise = torch.Generator(device="cpu").manual_seed(0)
    return 0.1 * torch.randn(4000, generator=noise, device="cpu", dtype=torch.float32)


def outputs(model: Vocoder | Extender) -> list[Tensor]:
    """What a model makes of the recording: the results of its calls and of its streams."""
    audio = recording()
    if isinstance(model, Extender):
        stream = model.stream(sample_rate=8000)
        return [
            model(audio, sample_rate=8000),
            model(audio, sample_rate=16000, preserve_low_band=False),
            torch.cat([stream.push(audio[:3000]), stream.push(audio[3000:]), stream.flush()]),
        ]
    analysis = model.mel_stream(sample_rate=16000)
    mel = model.mel(audio, sample_rate=16000)
    made = [
        mel,
        model(mel),
        model(torch.stack([mel, mel]), lengths=[mel.shape[1] - 2, mel.shape[1]]),
        torch.cat([analysis.push(audio[:3000]), analysis.push(audio[3000:]), analysis.flush()], 1),
    ]
    needs_f0 = "f0" in model.generator.features
    f0 = torch.full_like(mel[0], 120.0) if needs_f0 else None
    if type(model.generator).__name__ != "GriffinLim":
        live = model.stream(f0=needs_f0)
        first, rest = (f0[:5], f0[5:]) if f0 is not None else (None, None)
        pieces = [live.push(mel[:, :5], f0=first), live.push(mel[:, 5:], f0=rest), live.flush()]
        made.append(torch.cat(pieces))
    return made


def same(made: list[Tensor], expected: list[Tensor]) -> bool:
    """Whether all outputs are equal bit for bit, float32 on the CPU."""
    return len(made) == len(expected) and all(
        a.dtype == torch.float32 and a.device.type == "cpu" and torch.equal(a, b)
        for a, b in zip(made, expected, strict=True)
    )
