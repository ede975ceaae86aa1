"""Where the weights lie in a checkpoint, which file is one, and which one is not imported."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vocoder.errors import CheckpointError
from vocoder.importers.importer import import_checkpoint

from .cases import CASES, Weights, case_of, copy_of

OTHERS = {"discriminator.mpd.0.weight": torch.ones(3), "loss.window": torch.ones(4)}


def weights_of(name: str) -> Weights:
    content = torch.load(case_of(name).checkpoint, weights_only=True)
    weights: Weights = content.get("generator", content)
    return weights


def saved(content: Any, folder: Path) -> Path:
    """A copy of the HiFi-GAN fixture with other content in its file."""
    path = copy_of("hifigan_v3", folder)
    torch.save(content, path)
    return path


def lightning(prefix: str) -> Callable[[Weights], Any]:
    def wrapped(weights: Weights) -> dict[str, Any]:
        return {
            "epoch": 3,
            "pytorch-lightning_version": "2.1.0",
            "state_dict": {f"{prefix}{name}": v for name, v in weights.items()} | OTHERS,
            "optimizer_states": [{"state": {0: {"step": 1}}, "param_groups": []}],
            "callbacks": {"ModelCheckpoint": {"best": torch.tensor(1.0)}},
            "hyper_parameters": {"lr": 0.1, "betas": (0.8, 0.99)},
        }

    return wrapped


def with_numpy_values(weights: Weights) -> dict[str, Any]:
    return {"generator": weights, "best": np.float64(0.5), "step": np.int64(7), "log": np.ones(3)}


def as_numpy_arrays(weights: Weights) -> dict[str, Any]:
    return {name: value.numpy() for name, value in weights.items()}


CONTENTS = {
    "Lightning": lightning("generator."),
    "Lightning, in a model": lightning("model.generator."),
    "Lightning, compiled": lightning("generator._orig_mod."),
    "Lightning, distributed": lightning("model.module.generator."),
    "net_g": lightning("net_g."),
    "G": lightning("G."),
    "NumPy values": with_numpy_values,
    "NumPy arrays": as_numpy_arrays,
}


@pytest.mark.parametrize("where", CONTENTS)
def test_weights_are_found_wherever_they_are(where: str, tmp_path: Path) -> None:
    weights = weights_of("hifigan_v3")
    found = import_checkpoint(saved(CONTENTS[where](weights), tmp_path)).generator
    exact = import_checkpoint(case_of("hifigan_v3").checkpoint).generator
    for name, value in exact.state_dict().items():
        assert torch.equal(found.state_dict()[name], value), name


def test_two_generators_in_a_file_are_named(tmp_path: Path) -> None:
    weights = weights_of("hifigan_v3")
    both = {f"{owner}.{name}": v for owner in ("generator", "G") for name, v in weights.items()}
    with pytest.raises(CheckpointError, match=r"g_00000010: holds several generators: jik876"):
        import_checkpoint(saved({"state_dict": both}, tmp_path))


def tensors(*names: str) -> dict[str, Tensor]:
    return {name: torch.zeros(1) for name in names}


UNSUPPORTED = {
    "UnivNet": {"model_g": tensors("res_stack.0.kernel_predictor.bias_conv.bias")},
    "WaveGlow": {"state_dict": tensors("WN.0.start.bias", "convinv.0.conv.weight")},
    "WaveNet": {"state_dict": tensors("first_conv.bias", "conv_layers.0.conv1x1c.weight_g")},
    "WaveRNN": tensors("I.weight", "rnn1.weight_ih_l0", "fc1.weight"),
    "DiffWave": {"model": tensors("diffusion_embedding.w", "residual_layers.0.w")},
    "VITS, so-vits-svc or RVC": {"model": tensors("enc_p.emb.weight", "dec.conv_pre.bias")},
    "RVC": {"weight": tensors("enc_p.emb_phone.weight", "dec.conv_pre.bias"), "f0": 1},
    "StyleTTS 2": {
        "net": {name: tensors("module.a.weight") for name in ("bert", "decoder", "predictor")}
    },
    "EnCodec": tensors("quantizer.vq.layers.0._codebook.embed", "decoder.model.0.bias"),
    "Descript Audio Codec": tensors("quantizer.quantizers.0.in_proj.bias", "decoder.model.0.b"),
    "Tacotron 2": {"state_dict": tensors("decoder.attention_rnn.weight_ih", "postnet.a.weight")},
    "FastPitch": {"state_dict": tensors("duration_predictor.a.bias", "pitch_predictor.a.bias")},
    "Matcha-TTS": {"state_dict": tensors("encoder.proj_m.weight", "decoder.estimator.a.bias")},
    "give the file of the generator": tensors("discriminators.0.convs.0.bias"),
}


@pytest.mark.parametrize("title", UNSUPPORTED)
def test_what_is_not_imported_is_named(title: str, tmp_path: Path) -> None:
    torch.save(UNSUPPORTED[title], tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError, match=title) as error:
        import_checkpoint(tmp_path)
    assert "last.ckpt" in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_weights_that_do_not_fit_name_the_project(tmp_path: Path) -> None:
    path = copy_of("mini_nsf_hifigan", tmp_path)
    content = torch.load(path, weights_only=True)
    del content["generator"]["conv_post.bias"]
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=r"openvpi/SingingVocoders.*missing: conv_post\.bias"):
        import_checkpoint(path)


@pytest.mark.parametrize("name", ["hifigan_v1", "pwg_melgan", "melgan", "speechbrain"])
def test_a_directory_with_one_checkpoint_is_enough(name: str, tmp_path: Path) -> None:
    path = copy_of(name, tmp_path)
    folder = path if path.is_dir() else path.parent
    (folder / "do_00000010").write_bytes(b"discriminators")
    assert import_checkpoint(folder).config.training["imported"]["format"] == CASES[name][1]
    file = next(each for each in folder.iterdir() if each.suffix in {".ckpt", ".pt", ".pkl", ""})
    if name != "speechbrain":  # which has a usual name
        (folder / "other.pt").write_bytes(file.read_bytes())
        with pytest.raises(CheckpointError, match=r"several checkpoints .*other\.pt"):
            import_checkpoint(folder)


def test_a_directory_without_a_checkpoint_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"name the checkpoint file itself"):
        import_checkpoint(tmp_path)
