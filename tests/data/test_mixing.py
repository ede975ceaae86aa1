from pathlib import Path
from typing import Any

import pytest
import torch

from vocoder.data.manifest import read_manifest, write_manifest
from vocoder.data.segments import Segments
from vocoder.data.validation import validation_clips
from vocoder.errors import ConfigError

from .test_unreadable import RATE, corpus


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    """Two manifests, of 2 and of 6 clips."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    return [corpus(tmp_path / "a", count=2), corpus(tmp_path / "b", count=6)]


def names(manifest: Any, **changes: Any) -> list[str]:
    values = {"sample_rate": RATE, "segment": 16, "batch_size": 1000} | changes
    return Segments(manifest=manifest, **values)[0].names


@pytest.mark.parametrize(
    ("weights", "share"), [(None, 0.25), ([0.7, 0.3], 0.7), ([7, 3], 0.7), ([1e-9, 1], 0.0)]
)
def test_corpora_are_mixed_by_weight(pair: list[Path], weights: Any, share: float) -> None:
    found = names(pair, weights=weights)
    own = [Path(name).parent.name == "a" for name in found]
    assert abs(sum(own) / 1000 - share) <= 4 * (share * (1 - share) / 1000) ** 0.5
    assert found == names(pair, weights=weights)
    if share:  # and by duration within each
        assert len(set(found)) == 8


def test_one_manifest_in_a_list_is_that_manifest(pair: list[Path]) -> None:
    assert names(pair[:1]) == names(pair[0]) == names(str(pair[0]), weights=[3.0])


@pytest.mark.parametrize(
    ("weights", "error"),
    [
        ([1.0], "has 1 numbers for 2 manifests"),
        ([1.0, 0.0], "positive"),
        ([1.0, -1.0], "positive"),
        ([1.0, float("nan")], "positive"),
    ],
)
def test_wrong_weights_are_errors(pair: list[Path], weights: Any, error: str) -> None:
    with pytest.raises(ConfigError, match=f"data.weights.*{error}"):
        names(pair, weights=weights)


def test_an_empty_list_and_mixed_pairs_are_errors(pair: list[Path]) -> None:
    with pytest.raises(ConfigError, match="empty list"):
        names([])
    clips = read_manifest(pair[1])
    with_copies = [type(clip)(**vars(clip) | {"narrowband": clip.path}) for clip in clips]
    write_manifest(pair[1], with_copies)
    with pytest.raises(ConfigError, match=r"m\.csv: its clips have narrowband files, those of"):
        names(pair, narrowband=True)


def test_validation_takes_the_manifests_that_have_its_split(pair: list[Path]) -> None:
    clips = read_manifest(pair[1])
    write_manifest(pair[1], [type(c)(**vars(c) | {"split": "valid"}) for c in clips])
    values: dict[str, Any] = {"sample_rate": RATE, "limit": 9, "max_seconds": 0.1}
    chosen = validation_clips(pair, **values)
    alone = validation_clips(pair[1], **values)
    assert len(chosen) == 6
    assert all(torch.equal(one[1], other[1]) for one, other in zip(chosen, alone, strict=True))
    with pytest.raises(ConfigError, match=r"a/m\.csv: split 'valid' is empty"):
        validation_clips(pair[:1] * 2, **values)
