"""Measurement of the runtimes of one model."""

import logging
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vocoder.checkpoint import load_config, load_model
from vocoder.errors import ConfigError
from vocoder.export.engines import PACKAGES, is_installed
from vocoder.export.parity import TOLERANCE
from vocoder.features.mel import MelSpectrogram
from vocoder.generators.base import BandwidthExtender
from vocoder.inference.compiled.just_in_time import JustInTime
from vocoder.inference.extender import load_extender
from vocoder.inference.network import Network
from vocoder.inference.runtimes.choice import remember
from vocoder.inference.vocoder import load

_log = logging.getLogger(__name__)
_SECONDS = 4.0
_WORTH = 1.05  # speed of another runtime relative to PyTorch's from which on it is chosen


class RuntimeMeasurement(NamedTuple):
    """Seconds that a runtime takes, and the difference of its output to PyTorch's peak."""

    runtime: str
    path: str
    seconds: float
    difference: float

    @property
    def agrees(self) -> bool:
        """Whether the difference is small enough to use the runtime."""
        return self.difference <= TOLERANCE


def measure_runtimes(directory: Path, *, rounds: int = 5) -> tuple[str, list[RuntimeMeasurement]]:
    """Measure all installed runtimes in turn, and remember the fastest; returns it and all.

    Raises ConfigError if only PyTorch is installed, CheckpointError.
    """
    names = ["torch", *filter(is_installed, PACKAGES)]
    if len(names) == 1:
        raise ConfigError(
            "there is nothing to choose from: pip install 'vocoder[onnx]' or 'vocoder[openvino]'"
        )
    extends = isinstance(load_model(directory)[0], BandwidthExtender)
    opener = load_extender if extends else load
    networks = {name: opener(directory, runtime=name).network for name in names}
    if isinstance(networks["torch"], JustInTime):
        networks["torch"].compile()
    features = _noise(directory, extends)
    first = {name: _first(network, features) for name, network in networks.items()}
    made = {name: audio for name, audio in first.items() if audio is not None}
    networks = {name: networks[name] for name in made}
    times: dict[str, list[float]] = {name: [] for name in networks}
    with torch.inference_mode():
        for _ in range(rounds):
            for name, network in networks.items():
                start = time.perf_counter()
                network(**features)
                times[name].append(time.perf_counter() - start)
    measured = [
        RuntimeMeasurement(
            name,
            network.path,
            statistics.median(times[name]),
            float((made[name] - made["torch"]).abs().max() / made["torch"].abs().max()),
        )
        for name, network in networks.items()
    ]
    speeds = {m.runtime: 1.0 / m.seconds for m in measured if m.agrees}
    speeds["torch"] *= _WORTH
    return remember(directory, speeds), measured


@torch.inference_mode()
def _first(network: Network, features: dict[str, Tensor]) -> Tensor | None:
    """Output of the first run, which may compile; None, and a warning, if that is refused."""
    try:
        return network(**features)
    except ConfigError as error:
        _log.warning("%s: %s", network.path, error)
        return None


def _noise(directory: Path, extends: bool) -> dict[str, Tensor]:
    """Noise for an extender, or its mel for a vocoder."""
    spec = load_config(directory).mel
    rng = torch.Generator().manual_seed(0)
    hops = round(_SECONDS * spec.sample_rate / spec.hop_length)
    # A multiple of any hop of an extender that is in use.
    samples = hops * spec.hop_length if not extends else 48000 * round(_SECONDS)
    noise = 0.1 * torch.randn(1, 1, samples, generator=rng)
    return {"narrowband": noise} if extends else {"mel": MelSpectrogram(spec)(noise)}
