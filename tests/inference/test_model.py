"""Base class of vocoders and extenders: devices, sizes, and saving of loaded models."""

from pathlib import Path

import pytest
import torch

import vocoder
from vocoder.checkpoint import ModelConfig
from vocoder.errors import CheckpointError
from vocoder.features.mel import MelSpec
from vocoder.generators.bandwidth_extension.hifigan_bwe import HiFiGANBWE
from vocoder.inference.extender import Extender
from vocoder.inference.vocoder import Vocoder


def assert_saved_alike(model: Vocoder | Extender, folder: Path) -> None:
    model.save(folder / "saved")
    again: Vocoder | Extender
    rng = torch.Generator().manual_seed(0)
    audio = 0.1 * torch.randn(4000, generator=rng)
    if isinstance(model, Vocoder):
        again = vocoder.load(folder / "saved")
        assert torch.equal(
            again.resynth(audio, sample_rate=16000), model.resynth(audio, sample_rate=16000)
        )
    else:
        again = vocoder.load_extender(folder / "saved")
        assert torch.equal(again(audio, sample_rate=8000), model(audio, sample_rate=8000))
    assert again.config == model.config
    assert again.num_parameters == model.num_parameters


@pytest.mark.parametrize("name", ["default", "griffin-lim"])
def test_a_built_in_vocoder_is_saved_as_it_is(name: str, tmp_path: Path) -> None:
    assert_saved_alike(vocoder.load(name), tmp_path)


def test_weight_norm_survives_inference(tiny_model: Path, tmp_path: Path) -> None:
    assert_saved_alike(vocoder.load(tiny_model), tmp_path)


def test_an_extender_whose_weights_are_merged_for_inference_is_saved(tmp_path: Path) -> None:
    torch.manual_seed(0)
    settings = {
        "layers": 4,
        "channels": 8,
        "cutoff_range": [4000.0, 12000.0],
        "resampling": {"zeros": 16, "rolloff": 0.945, "beta": 14.77},
    }
    target = f"{HiFiGANBWE.__module__}.HiFiGANBWE"
    config = ModelConfig(
        name="small",
        mel=MelSpec.preset("hifigan_48k_128"),
        generator={"_target_": target, **settings},
    )
    extender = Extender(HiFiGANBWE(**settings), config)
    assert_saved_alike(extender, tmp_path)
    assert extender.num_parameters > sum(p.numel() for p in extender.generator.parameters())


def test_nothing_but_a_model_is_replaced(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(CheckpointError, match="not a model directory; not replaced"):
        vocoder.load(tiny_model).save(tmp_path)


def test_moving_returns_the_model_and_forgets_its_plans(tiny_model: Path) -> None:
    model = vocoder.load(tiny_model)
    plan = model.plan()
    assert model.plan() is plan
    assert model.to("cpu") is model
    assert model.plan() is not plan
    assert model.device == torch.device("cpu")
