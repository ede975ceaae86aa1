"""The cutoff range of a bandwidth extender is that of its feature, and is checked."""

from pathlib import Path

import pytest

from vocoder.build import build
from vocoder.errors import ConfigError
from vocoder.training.run import build_system, compose

from .conftest import settings

CUTOFF_RANGES = {
    "ap_bwe_12k_48k": (6000.0, 6000.0),
    "ap_bwe_48k": (4000.0, 12000.0),
    "band_filler_48k": (3400.0, 12000.0),
    "hifi_sr": (8000.0, 16000.0),
    "hifigan_bwe": (4000.0, 12000.0),
    "musichifi_bwe": (11025.0, 11025.0),
}


@pytest.mark.parametrize("name", CUTOFF_RANGES)
def test_generator_has_the_range_of_its_feature(name: str) -> None:
    values = compose([f"system={name}", "data.manifest=none"])
    assert tuple(values["generator"]["cutoff_range"]) == CUTOFF_RANGES[name]
    assert build(values["features"]["narrowband"]).cutoff_range == CUTOFF_RANGES[name]


def test_range_depends_on_the_rates_of_the_feature() -> None:
    rates = "features.narrowband.steps.low_rate.rates=[8000,32000]"
    for name in ("ap_bwe_48k", "hifigan_bwe"):
        values = compose([f"system={name}", "data.manifest=none", rates])
        assert values["generator"]["cutoff_range"] == [4000.0, 16000.0]


def test_inference_resamples_with_the_filter_of_the_feature() -> None:
    changed = "features.narrowband.steps.low_rate.rolloff=[0.9]"
    values = compose(["system=hifigan_bwe", "data.manifest=none", changed])
    assert build(values["generator"]).resampling["rolloff"] == 0.9
    several = "features.narrowband.steps.low_rate.rolloff=[0.8,0.9]"
    with pytest.raises(ConfigError, match="has no single resampling"):
        compose(["system=hifigan_bwe", "data.manifest=none", several])


def test_range_that_is_not_the_feature_s_is_refused(manifest: Path, tmp_path: Path) -> None:
    values = settings("ap_bwe_8k_16k", manifest, tmp_path)
    build_system(values)
    values["generator"]["cutoff_range"] = [2000.0, 4000.0]
    with pytest.raises(ConfigError, match=r"cutoff_range is \[2000.0, 4000.0\], but the feature"):
        build_system(values)


def test_generator_has_a_range_of_its_own_where_the_feature_has_no_cutoff() -> None:
    values = compose(["system=eben", "data.manifest=none"])
    assert build(values["features"]["narrowband"]).cutoff_range is None
    assert values["generator"]["cutoff_range"] == [400.0, 2000.0]
