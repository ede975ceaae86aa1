"""Networks of untrusted configurations: no larger and no slower than their weights allow."""

import time
from typing import Any

import pytest
import torch

from tests.test_build import HIFIGAN
from vocoder.build import build
from vocoder.checks.budget import build_network
from vocoder.errors import ConfigError
from vocoder.generators.base import Generator

LIARS: dict[str, dict[str, Any]] = {
    "wide": {"channels": 1 << 20},
    "wide_kernel": {"upsample_kernel_sizes": [1 << 19, 16]},
    "many": {"resblock_dilations": [[1] * 10_000]},
    "many_empty": {"resblock_kernel_sizes": [3] * 5000, "resblock_dilations": [[]] * 5000},
    "long": {"resblock_dilations": [[1] * 40_000]},
    "reaching": {"resblock_dilations": [[1, 1_000_000]]},
    "huge": {"channels": 10**12},
    "hop": {"hop_length": 1 << 18, "upsample_rates": [1 << 18], "upsample_kernel_sizes": [1 << 18]},
    "three": {"channels": 1 << 19, "n_mels": 1 << 20},
}


@pytest.mark.parametrize("changes", LIARS.values(), ids=LIARS.keys())
def test_network_is_no_larger_than_its_weights(changes: dict[str, Any]) -> None:
    weights = build(HIFIGAN).state_dict()
    torch.manual_seed(0)
    built = build_network(HIFIGAN, weights, "generator", kind=Generator)
    torch.manual_seed(0)
    plain = build(HIFIGAN)
    assert all(map(torch.equal, built.state_dict().values(), plain.state_dict().values()))
    start = time.process_time()
    with pytest.raises(ConfigError, match="^generator"):
        build_network({**HIFIGAN, **changes}, weights, "generator", kind=Generator)
    assert time.process_time() - start < 2.0
    build({**HIFIGAN, "channels": 512})  # elsewhere there is no limit
