"""Comparison of an exported model with PyTorch, on noise."""

import copy
from typing import NamedTuple

import torch
from torch import Tensor

from vocoder.checkpoint import ModelConfig
from vocoder.errors import ConfigError
from vocoder.export.engines import Engine, new_engine
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.generators.base import BandwidthExtender, Generator
from vocoder.generators.pitched.base import PitchedGenerator
from vocoder.io.defaults import Float32OnCpu
from vocoder.nn.pitch import NoPitch

TOLERANCE = 1e-4  # of the peak, between the exported network and PyTorch
_LENGTHS = (3, 17, 40)  # frames of the check, each for one and for two items
# Where the network estimates F0: its rounding adds up to a shift of phase, frame after frame.
_F0_LENGTHS = (3, 9, 17)
_LEAST = 256  # samples of a frame of an extender's examples
_MARGIN = 2048  # samples of silence around them
Example = dict[str, Tensor]


class Parity(NamedTuple):
    """Largest difference to PyTorch, relative to the peak.

    `rounding` is that of PyTorch in single to double precision, where it explains a `difference`
    above 1e-4; None where that is not needed.
    """

    difference: float
    rounding: float | None = None


def parity(
    generator: Generator, config: ModelConfig, content: bytes, *, f0: bool = False
) -> Parity:
    """Compare an exported model in onnxruntime with PyTorch, for three lengths and two batches.

    Raises ConfigError if they differ by more than 1e-4 of the peak and by more than PyTorch's own
    rounding explains, which algorithms that iterate amplify.
    """
    engine = new_engine("onnx", content, threads=torch.get_num_threads())
    f0 = takes_f0(generator, f0)
    estimated = isinstance(generator, PitchedGenerator) and not f0
    differences, roundings = [0.0], [0.0]
    for frames in _F0_LENGTHS if estimated else _LENGTHS:
        for items in (1, 2):
            features = example_of(generator, config.mel, items, frames, f0=f0, seed=frames)
            found = _difference(generator, engine, features, config.name)
            differences.append(found)
            if found > TOLERANCE:
                roundings.append(rounding_of(generator, features))
    difference, rounding = max(differences), max(roundings)
    if difference <= TOLERANCE:
        return Parity(difference)
    if difference <= 2.0 * rounding:  # both are rounded
        return Parity(difference, rounding)
    raise ConfigError(
        f"{config.name}: exported, it differs from PyTorch by {difference:.1e} of the peak, "
        f"more than {TOLERANCE:.0e}; nothing is written"
    )


def _difference(generator: Generator, engine: Engine, features: Example, name: str) -> float:
    with torch.inference_mode():
        expected = generator(**features)
    made = engine(features)
    if made.shape != expected.shape:
        raise ConfigError(
            f"{name}: exported, it makes {list(made.shape)} samples instead of "
            f"{list(expected.shape)}; nothing is written"
        )
    found = float((made - expected).abs().max() / expected.abs().max())
    return found if found == found else float("inf")


@torch.inference_mode()
def rounding_of(generator: Generator, features: Example) -> float:
    """Difference of PyTorch in single to double precision, relative to the peak."""
    exact = copy.deepcopy(generator).double()
    expected = exact(**{name: value.double() for name, value in features.items()})
    made = generator(**features)
    return float((made - expected).abs().max() / expected.abs().max())


def takes_f0(generator: Generator, f0: bool) -> bool:
    """Whether F0 is an input: as wanted, and always where the network has no estimate."""
    if f0 and "f0" not in generator.features:
        raise ConfigError("it takes no f0; a source-filter model does")
    return f0 or (isinstance(generator, PitchedGenerator) and isinstance(generator.pitch, NoPitch))


def example_of(
    generator: Generator, mel: MelSpec, items: int, frames: int, *, f0: bool, seed: int = 0
) -> Example:
    """Noise for a network: its mel, or a recording between silence, and F0 if wanted.

    A frame that reflects the start of a recording has a real spectrum: networks that are given
    phases would get pi or -pi there, as rounding decides. Silence has none to decide on.
    """
    rng = torch.Generator("cpu").manual_seed(seed)
    hop = generator.hop_length
    size = frames * hop
    if isinstance(generator, BandwidthExtender):
        size = frames * -(-_LEAST // hop) * hop
    noise = 0.1 * torch.randn(items, 1, size, generator=rng, device="cpu", dtype=torch.float32)
    if isinstance(generator, BandwidthExtender):
        margin = -(-_MARGIN // hop) * hop
        return {"narrowband": torch.nn.functional.pad(noise, (margin, margin))}
    with Float32OnCpu(), torch.inference_mode():
        example = {"mel": MelSpectrogram(mel)(noise)}
    if f0:
        contour = 100.0 + 150.0 * torch.rand(items, 1, generator=rng, device="cpu")
        example["f0"] = contour.float().expand(-1, example["mel"].shape[-1]).clone()
    return example
