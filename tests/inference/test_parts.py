"""A source-filter generator in parts of the frames gives the samples of one call, to the bit."""

import pytest
import torch

pytest.importorskip("llvmlite")

from vocoder.generators.pitched.source_filter import SourceFilter
from vocoder.inference.parts import SourceFilterInParts
from vocoder.kernels.switch import reference_only

from ..conftest import SPEC

SMALL = {"channels": 16, "hidden": 16, "blocks": 1, "pitch_channels": 8, "pitch_blocks": 1}


@pytest.fixture(scope="module")
def network() -> SourceFilterInParts:
    torch.manual_seed(0)
    generator = SourceFilter(mel=SPEC, **SMALL, iterations=4).freeze()
    assert SourceFilterInParts.fits(generator)
    return SourceFilterInParts(generator)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("frames", [3, 64, 131, 200])
@pytest.mark.parametrize("with_f0", [False, True])
def test_parts_equal_one_call(
    network: SourceFilterInParts, threads: int, frames: int, with_f0: bool
) -> None:
    mel = torch.randn(2, SPEC.n_mels, frames) - 5.0
    f0 = torch.full((2, frames), 150.0) if with_f0 else None
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            made = network(mel=mel, f0=f0)
            assert torch.get_num_threads() == threads
            assert torch.equal(made, network.generator(mel=mel, f0=f0))
            with reference_only():
                assert torch.equal(made, network(mel=mel, f0=f0))
    finally:
        torch.set_num_threads(before)
    assert "kernels for this CPU" in network.path


def test_gradients_pass(network: SourceFilterInParts) -> None:
    mel = torch.full((1, SPEC.n_mels, 70), -3.0, requires_grad=True)
    network(mel=mel).square().sum().backward()
    assert mel.grad is not None
    assert mel.grad.abs().sum() > 0
