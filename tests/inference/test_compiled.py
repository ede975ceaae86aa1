"""Compiled generators against the same generators as PyTorch runs them."""

import pickle

import pytest
import torch
from torch import Tensor

from tests.conftest import small_vocoder
from tests.generators.test_ap_bwe import SIZES
from vocoder.generators.bandwidth_extension.ap_bwe import APBWE
from vocoder.generators.base import Generator
from vocoder.generators.bigvgan import BigVGAN
from vocoder.generators.hifigan import HiFiGAN
from vocoder.generators.vocos import Vocos

pytest.importorskip("llvmlite")
from vocoder.inference.compiled import just_in_time
from vocoder.inference.compiled.just_in_time import JustInTime
from vocoder.inference.compiled.network import Compiled
from vocoder.inference.vocoder import Vocoder
from vocoder.kernels.jit import compiler
from vocoder.kernels.jit.compiler import Cpu
from vocoder.kernels.switch import reference_only

UPSAMPLING = {
    "n_mels": 12,
    "hop_length": 12,
    "upsample_rates": [3, 4],
    "upsample_kernel_sizes": [7, 8],
    "channels": 80,
    "resblock_kernel_sizes": [3, 7],
    "resblock_dilations": [[1, 3], [1, 5]],
}


def generators() -> dict[str, Generator]:
    torch.manual_seed(0)
    vocos = {"n_mels": 12, "channels": 32, "hidden": 64, "blocks": 2, "n_fft": 48, "hop_length": 12}
    made: dict[str, Generator] = {
        "hifigan": HiFiGAN(**UPSAMPLING, resblock="1"),
        "hifigan_causal": HiFiGAN(**UPSAMPLING, resblock="2", causal=True),
        "bigvgan": BigVGAN(**UPSAMPLING),
        "bigvgan_causal": BigVGAN(**UPSAMPLING, causal=True),
        "vocos": Vocos(**vocos, padding="same"),
        "vocos_centered": Vocos(**vocos, padding="center"),
    }
    for generator in made.values():
        generator.freeze()
    return made


GENERATORS = generators()


def mel(frames: int, items: int = 1) -> Tensor:
    return torch.randn(items, 12, frames)


def compiled(generator: Generator) -> Compiled:
    return Compiled(generator, {"mel": mel(8, 2)}, {"mel": mel(15)})


@pytest.mark.parametrize("name", GENERATORS)
def test_compiled_generator_equals_torchs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = GENERATORS[name]
    made = compiled(generator)
    for frames, items, threads in ((2, 1, 1), (37, 3, 2), (400, 1, 2), (401, 1, 3)):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        x = mel(frames, items)
        with torch.inference_mode():
            reference = generator(x)
        audio = made(mel=x)
        assert audio.shape == reference.shape
        assert (audio - reference).abs().max() <= 1e-5 * reference.abs().max()


@pytest.mark.parametrize("machine", [Cpu(8, 16, "AVX2"), Cpu(4, 32, "NEON")])
def test_programs_for_other_vectors_are_right(
    machine: Cpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler, "_cpu", lambda: machine)
    generator, x = GENERATORS["bigvgan"], mel(90)
    with torch.inference_mode():
        reference = generator(x)
    assert (compiled(generator)(mel=x) - reference).abs().max() <= 1e-5 * reference.abs().max()


def test_pieces_do_not_change_the_result() -> None:
    made, x = compiled(GENERATORS["bigvgan"]), mel(200)
    whole = made(mel=x)
    made = compiled(GENERATORS["bigvgan"])
    made.frames = 7
    assert (made(mel=x) - whole).abs().max() <= 1e-5 * whole.abs().max()


def test_extender_with_several_results_equals_torchs() -> None:
    network = APBWE(**SIZES, cutoff_range=[4000.0, 4000.0]).freeze()
    hop = network.hop_length
    short, long = 0.1 * torch.randn(2, 1, 4 * hop), 0.1 * torch.randn(1, 1, 7 * hop)
    made = Compiled(network, {"narrowband": short}, {"narrowband": long})
    x = 0.1 * torch.randn(2, 1, 90 * hop)
    with torch.inference_mode():
        reference = network(x)
    audio = made(narrowband=x)
    assert (audio - reference).abs().max() <= 1e-4 * reference.abs().max()


def just_in_time_vocoder(monkeypatch: pytest.MonkeyPatch, seconds: float) -> Vocoder:
    monkeypatch.setattr(just_in_time, "_SECONDS", seconds)
    monkeypatch.setattr(just_in_time, "_CLEARLY_SLOWER", 1e9)
    return small_vocoder()


def test_model_is_compiled_once_its_calls_have_taken_long(monkeypatch: pytest.MonkeyPatch) -> None:
    vocoder = just_in_time_vocoder(monkeypatch, 1e9)
    x = vocoder.mel(0.1 * torch.randn(8000), sample_rate=vocoder.sample_rate)
    reference = vocoder(x)
    assert vocoder.network.path.startswith("PyTorch")
    vocoder = just_in_time_vocoder(monkeypatch, 0.0)
    audio = vocoder(x)
    assert vocoder.network.path.startswith("compiled for this CPU")
    assert (audio - reference).abs().max() <= 1e-5 * reference.abs().max()
    assert pickle.loads(pickle.dumps(vocoder)).network.path.startswith("PyTorch")


def test_slower_and_wrong_programs_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    vocoder = just_in_time_vocoder(monkeypatch, 0.0)
    monkeypatch.setattr(just_in_time, "_CLEARLY_SLOWER", 1e-9)
    x = vocoder.mel(0.1 * torch.randn(8000), sample_rate=vocoder.sample_rate)
    for _ in range(3):
        vocoder(x)
    assert "times as slow" in vocoder.network.path
    vocoder = just_in_time_vocoder(monkeypatch, 0.0)
    monkeypatch.setattr(Compiled, "__call__", lambda self, mel: torch.zeros(1, 1, 1))
    vocoder(x)
    assert "differs by" in vocoder.network.path


def test_gradients_and_reference_runs_do_not_use_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vocoder = just_in_time_vocoder(monkeypatch, 0.0)
    assert isinstance(vocoder.network, JustInTime)
    vocoder.network.compile()
    monkeypatch.setattr(Compiled, "__call__", None)  # raises if it is called
    x = torch.randn(vocoder.spec.n_mels, 30)
    with reference_only():
        vocoder(x)
    x.requires_grad_()
    vocoder.differentiable(x).sum().backward()
    assert x.grad is not None


def test_generator_without_kernels_runs_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(just_in_time, "is_available", lambda: False)
    vocoder = just_in_time_vocoder(monkeypatch, 0.0)
    vocoder(torch.randn(vocoder.spec.n_mels, 30))
    assert "pip install 'vocoder[fast]'" in vocoder.network.path
