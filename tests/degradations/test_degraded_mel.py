import math
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from vocoder.build import build
from vocoder.degradations.mel import DegradedMel
from vocoder.errors import ConfigError
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.io.audio import read_audio

ROOT = Path(__file__).parents[2]
SPEC = MelSpec.preset("hifigan_22k_80")
NONE = dict.fromkeys(
    ("smoothing_frames", "smoothing_bands", "noise_db", "quantisation_db"), (0.0, 0.0)
)
PER_DB = math.log(10.0) / 20.0  # nepers


def speech(items: int = 1) -> torch.Tensor:
    audio, _ = read_audio(next((ROOT / "egs/clips/lj").glob("*")), frames=22050)
    return audio[:1].expand(items, 1, -1)


def degraded(spec: MelSpec = SPEC, items: int = 1, seed: int = 0, **ranges: Any) -> torch.Tensor:
    torch.manual_seed(seed)
    mel: torch.Tensor = DegradedMel(spec, **({"share": 1.0} | NONE | ranges))(speech(items))
    return mel


def roughness(mel: torch.Tensor, axis: int) -> float:
    return float(mel.diff(dim=axis).abs().mean())


def test_the_shipped_configuration_degrades_a_share_of_the_items() -> None:
    spec = {"_target_": "vocoder.features.mel.MelSpec", **SPEC.to_dict()}
    group = OmegaConf.load(ROOT / "configs/features/mel_degraded.yaml")
    values = OmegaConf.to_container(
        OmegaConf.create({"mel": spec, "features": group}), resolve=True
    )
    assert isinstance(values, dict)
    feature = build(values["features"]["mel"])
    assert isinstance(feature, DegradedMel)
    torch.manual_seed(3)
    one = feature(speech(64))
    plain = MelSpectrogram(SPEC)(speech(64))
    changed = (one != plain).flatten(1).any(dim=1)
    assert 20 < changed.sum() < 44
    assert torch.isfinite(one).all()
    assert 0.05 < (one - plain).abs()[changed].mean() < 1.0  # nepers: audible, not destroyed
    torch.manual_seed(3)
    assert torch.equal(one, feature(speech(64)))
    assert torch.equal(feature.eval()(speech(64)), plain)


def test_each_amount_does_what_it_says() -> None:
    plain = MelSpectrogram(SPEC)(speech())
    assert torch.allclose(degraded(), plain, atol=1e-5)
    for name, axis, other in (("smoothing_frames", -1, -2), ("smoothing_bands", -2, -1)):
        smooth = degraded(**{name: (1.5, 1.5)})
        assert roughness(smooth, axis) < 0.6 * roughness(plain, axis)
        assert roughness(smooth, other) > 0.5 * roughness(plain, other)
        assert smooth.mean() == pytest.approx(plain.mean().item(), abs=0.05)
    noise = (degraded(noise_db=(2.0, 2.0)) - plain)[plain > -10.0] / PER_DB
    assert noise.std() == pytest.approx(2.0, rel=0.05)
    steps = degraded(quantisation_db=(1.5, 1.5))[plain > -11.0] / (1.5 * PER_DB)
    assert torch.allclose(steps, steps.round(), atol=1e-2)
    assert (degraded(quantisation_db=(1.5, 1.5)) - plain).abs().max() < 0.76 * PER_DB


@pytest.mark.parametrize("name", ["vocos_24k_100", "hifigan_22k_80", "nvidia_tacotron2"])
def test_amounts_do_not_depend_on_the_log_of_the_mel(name: str) -> None:
    spec = MelSpec.preset(name) if name != "nvidia_tacotron2" else SPEC.normalised("keithito")
    plain = MelSpectrogram(spec)(speech())
    disturbed = degraded(spec, noise_db=(2.0, 2.0))
    floor = spec.log_floor * 10
    loud = spec.expand(plain) > floor
    change = torch.log(spec.expand(disturbed) / spec.expand(plain))[loud] / spec.power / PER_DB
    assert change.std() == pytest.approx(2.0, rel=0.1)


def test_items_have_amounts_of_their_own() -> None:
    mels = degraded(items=8, noise_db=(0.0, 2.0))
    plain = MelSpectrogram(SPEC)(speech())
    amounts = (mels - plain).flatten(1).std(dim=1)
    assert amounts.max() > 2 * amounts.min()


@pytest.mark.parametrize(
    "wrong",
    [
        {"share": 1.5},
        {"noise_db": (2.0, 1.0)},
        {"noise_db": (-1.0, 1.0)},
        {"smoothing_bands": (1.0,)},
        {"quantisation_db": (0.0, math.inf)},
    ],
)
def test_impossible_ranges_are_errors(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        degraded(**wrong)
