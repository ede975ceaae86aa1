"""Checkpoints of other projects: the same audio as there, or an error that names the fault."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from vocoder.checkpoint import load_model
from vocoder.errors import CheckpointError, ConfigError
from vocoder.generators.base import Generator
from vocoder.importers.common.state_dict import unwrap
from vocoder.importers.common.weights import find_file, read
from vocoder.importers.importer import PROJECTS, import_checkpoint
from vocoder.inference.vocoder import load
from vocoder.io.audio import read_audio
from vocoder.io.mel_file import write_mel
from vocoder.nn.weight_norm import fold_weight_norm

from .cases import (
    CASES,
    FIXTURES,
    PITCHED,
    VOCODERS,
    Case,
    Command,
    Weights,
    audio_of,
    case_of,
    copy_of,
    edit_weights,
)


def deviation(generator: Generator, case: Case) -> float:
    """How far the audio is from the project's own, relative to its peak."""
    audio, wav = audio_of(generator, case), case.arrays["wav"]
    assert audio.shape == wav.shape
    return ((audio - wav).abs().max() / wav.abs().max()).item()


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", CASES)
def test_a_model_of_another_project_gives_the_same_audio(
    name: str, vocoder_command: Command, tmp_path: Path
) -> None:
    case = case_of(name)
    result = vocoder_command("import", case.checkpoint, "-o", tmp_path / "model")
    assert result.code == 0, result.err
    assert case.title in result.out
    generator, _ = load_model(tmp_path / "model")
    assert deviation(generator, case) <= 1e-5
    assert deviation(generator.freeze(), case) <= 1e-5


# Generators that another of these cases has, too, with other settings.
LIKE_ANOTHER = {"bigvgan_v1", "bigvsan", "fastspeech2", "hifigan_v3", "speecht5", "speechbrain"}
NOT_DEFAULT = LIKE_ANOTHER | {"bigvgan_v2", "hiftnet"}  # these take seconds each


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow if n in NOT_DEFAULT else ()) for n in VOCODERS],
)
def test_a_vocoder_of_another_project_vocodes_and_streams(
    name: str,
    vocoder_command: Command,
    tmp_path: Path,
    streaming_error: Callable[..., float],
) -> None:
    case = case_of(name)
    wav = case.arrays["wav"]
    vocoder_command("import", case.checkpoint, "-o", tmp_path / "model")
    _, config = load_model(tmp_path / "model")
    assert streaming_error(load(tmp_path / "model"), f0=name == "hiftnet") < 1e-5

    write_mel(tmp_path / "mel.npy", case.arrays["mel"], config.mel)
    if "raw" in case.arrays:
        stated = dataclasses.replace(config.mel, mean=(), scale=())
        write_mel(tmp_path / "raw.npy", case.arrays["raw"], stated)
    mels = sorted(tmp_path.glob("*.npy"))
    made = vocoder_command("vocode", *mels, "-o", tmp_path, "--model", tmp_path / "model")
    assert made.code == 0, made.err
    for path in mels:
        samples, sample_rate = read_audio(path.with_suffix(".wav"))
        assert (sample_rate, samples.shape[-1]) == (config.mel.sample_rate, len(wav))
        if "noise" not in case.arrays:  # the command draws other noise
            expected = wav.clamp(-1.0, 32767 / 32768)
            # Half a step of 16 bits, and the rounding of the network, which differs between CPUs.
            torch.testing.assert_close(samples[0], expected, rtol=0.0, atol=0.55 / 32768)


@pytest.mark.parametrize("name", PITCHED)
def test_a_vocoder_without_a_pitch_network_takes_and_needs_f0(
    name: str,
    vocoder_command: Command,
    tmp_path: Path,
    streaming_error: Callable[..., float],
) -> None:
    case = case_of(name)
    made = vocoder_command("import", case.checkpoint, "-o", tmp_path / "model")
    assert made.code == 0, made.err
    model = load(tmp_path / "model")
    mel, f0 = case.arrays["mel"], case.arrays["f0"]
    assert model(mel, f0=f0).shape == case.arrays["wav"].shape
    assert streaming_error(model, f0=True) < 1e-5
    with pytest.raises(ConfigError, match=r"no pitch estimator; .*f0=…"):
        model(mel)
    write_mel(tmp_path / "mel.npy", mel, model.spec)
    refused = vocoder_command(
        "vocode", tmp_path / "mel.npy", "-o", tmp_path, "--model", tmp_path / "model"
    )
    assert refused.code != 0
    assert "no pitch estimator" in refused.err


def parametrized(weights: Weights) -> Weights:
    """Weight norm in torch's present spelling."""
    now = {"weight_g": "parametrizations.weight.original0"}
    now["weight_v"] = "parametrizations.weight.original1"
    renamed = {}
    for name, value in weights.items():
        layer, _, kind = name.rpartition(".")
        renamed[f"{layer}.{now.get(kind, kind)}"] = value
    return renamed


def folded(weights: Weights) -> Weights:
    """Weight norm removed, as releases for inference have it."""
    plain = {}
    for name, value in weights.items():
        layer, _, kind = name.rpartition(".")
        if kind == "weight_v":
            length = value.flatten(1).norm(dim=1).reshape(weights[f"{layer}.weight_g"].shape)
            plain[f"{layer}.weight"] = value * weights[f"{layer}.weight_g"] / length
        elif kind != "weight_g":
            plain[name] = value
    return plain


def distributed(weights: Weights) -> Weights:
    return {f"module.{name}": value for name, value in weights.items()}


def compiled(weights: Weights) -> Weights:
    return {f"_orig_mod.{name}": value for name, value in weights.items()}


def distributed_and_compiled(weights: Weights) -> Weights:
    return distributed(compiled(weights))


def compiled_layer_by_layer(weights: Weights) -> Weights:
    return {"._orig_mod.".join(name.rsplit(".", 1)): value for name, value in weights.items()}


SPELLINGS = [
    *(parametrized, folded, distributed),
    *(compiled, distributed_and_compiled, compiled_layer_by_layer),
]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("name", ["hifigan_v3", "bigvgan_v2", "pwg_melgan", "pwg_parallel_wavegan"])
def test_every_spelling_of_weight_norm_gives_the_same_model(
    name: str, spelling: Callable[[Weights], Weights], tmp_path: Path
) -> None:
    path = copy_of(name, tmp_path)
    path = path / "bigvgan_generator.pt" if path.is_dir() else path
    edit_weights(path, spelling)
    case = case_of(name)
    generator = import_checkpoint(path).generator
    assert any("original0" in key for key in generator.state_dict()), "it can be trained on"
    assert deviation(generator, case) <= 1e-5


def test_a_filter_of_zeros_stays_zero(tmp_path: Path) -> None:
    path = copy_of("hifigan_v3", tmp_path)

    def silence_first_filter(weights: Weights) -> Weights:
        plain = folded(weights)
        plain["conv_post.weight"].zero_()
        return plain

    edit_weights(path, silence_first_filter)
    generator = import_checkpoint(path).generator
    audio = audio_of(generator, case_of("hifigan_v3"))
    assert torch.isfinite(audio).all()
    assert torch.equal(audio, audio[:1].expand_as(audio)), "the bias is left"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_single(dtype: torch.dtype, tmp_path: Path) -> None:
    path = copy_of("hifigan_v3", tmp_path)
    edit_weights(path, lambda weights: {name: v.to(dtype) for name, v in weights.items()})
    generator = import_checkpoint(path).generator
    exact = import_checkpoint(case_of("hifigan_v3").checkpoint).generator
    assert {value.dtype for value in generator.state_dict().values()} == {torch.float32}
    for model in (generator, exact):
        fold_weight_norm(model)
    for name, value in exact.state_dict().items():
        torch.testing.assert_close(generator.state_dict()[name], value, rtol=0.02, atol=0.01)


def drop(name: str) -> Callable[[Weights], Weights]:
    return lambda weights: {key: value for key, value in weights.items() if key != name}


def add(name: str, value: Tensor) -> Callable[[Weights], Weights]:
    return lambda weights: weights | {name: value}


DAMAGES = [
    ("hifigan_v1", drop("resblocks.3.convs1.0.bias"), "missing: resblocks.3.convs1.0.bias"),
    ("pwg_hifigan", drop("upsamples.1.1.bias"), "missing: upsamples.1.1.bias"),
    ("pwg_melgan", drop("melgan.3.weight_g"), "missing: melgan.3.weight_g"),
    ("hifigan_v1", add("conv_new.bias", torch.zeros(1)), "unknown: conv_new.bias"),
    ("hiftnet", add("F0_model.new.bias", torch.zeros(1)), "unknown: F0_model.new.bias"),
    ("bigvgan_v1", add("ups.1.0.bias", torch.zeros(3)), "of another shape: ups.1.0.bias"),
    ("hifigan_v1", add("conv_pre.bias", torch.full((16,), torch.nan)), "NaN"),
    ("eben", drop("latent_conv.1.weight_v"), "missing: latent_conv.1.weight_v"),
    ("eben", add("pqmf.analysis_weights", torch.full((4, 1, 32), 0.1)), "pqmf.analysis_weights"),
]


@pytest.mark.parametrize(("name", "damage", "words"), DAMAGES, ids=[row[2] for row in DAMAGES])
def test_weights_that_do_not_fit_are_listed_by_their_names_in_the_file(
    name: str, damage: Callable[[Weights], Weights], words: str, tmp_path: Path
) -> None:
    path = copy_of(name, tmp_path)
    edit_weights(path, damage)
    with pytest.raises(CheckpointError) as error:
        import_checkpoint(path)
    assert words in str(error.value)
    assert str(path) in str(error.value)


def test_the_other_half_of_a_checkpoint_must_lie_beside_it(tmp_path: Path) -> None:
    path = copy_of("hifi_sr", tmp_path)
    (path.parent / "m_00000010").unlink()
    with pytest.raises(CheckpointError, match="m_00000010: no such"):
        import_checkpoint(path)


class Evil:
    """Runs a command where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


def test_code_in_a_pickle_is_not_run(vocoder_command: Command, tmp_path: Path) -> None:
    torch.save({"generator": {}, "extra": Evil(tmp_path / "ran")}, tmp_path / "evil.pth")
    result = vocoder_command("import", tmp_path / "evil.pth", "-o", tmp_path / "model")
    assert result.code == 2
    assert len(result.err.strip().splitlines()) == 1
    for words in ("evil.pth", "posix.system", "not run"):
        assert words in result.err
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "model").exists()


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
def test_the_code_of_torchscript_is_not_run_and_the_error_has_advice(tmp_path: Path) -> None:
    torch.jit.script(torch.nn.Linear(1, 1)).save(tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=r"model\.pt: .* save torch\.jit\.load.*state_dict"):
        import_checkpoint(tmp_path / "model.pt")


def test_hifi_gan_bwe_at_another_rate_is_refused(tmp_path: Path) -> None:
    path = copy_of("hifi_gan_bwe", tmp_path)
    edit_weights(path, add("sample_rate", torch.tensor(44100)))
    with pytest.raises(CheckpointError, match=r"ckpt-0200k\.pt: .* is \[44100\]; only 48000"):
        import_checkpoint(path)
    edit_weights(path, drop("sample_rate"))
    assert import_checkpoint(path).config.mel.sample_rate == 48000


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"net.weight": torch.zeros(1)}, ["no known project", "net.weight", "jik876/hifi-gan"]),
        ({"mpd": {}, "optim_g": {}}, ["no named weights", "mpd, optim_g"]),
        ({}, ["no named weights", "none"]),
        ({"mpd": {}, "optim_g": {}}, ["give the file of the generator"]),
        ({"param_groups": [], "state": {}}, ["no named weights", "the state of an optimizer"]),
        ([torch.zeros(1)], ["list"]),
    ],
)
def test_what_is_not_a_checkpoint_is_an_error(
    content: Any, words: list[str], tmp_path: Path
) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(CheckpointError) as error:
        import_checkpoint(tmp_path / "a.pth")
    for word in ("a.pth", *words):
        assert word in str(error.value)


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_a_damaged_file_is_an_error_that_names_it(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match=name):
        import_checkpoint(tmp_path / name)
    with pytest.raises(CheckpointError, match="no such file"):
        import_checkpoint(tmp_path / "nowhere" / name)


def test_every_checkpoint_is_recognised_by_one_project_alone() -> None:
    for name, (file, title) in CASES.items():
        path = find_file(FIXTURES / name / file)
        weights = unwrap(read(path), path)
        recognised = [project.title for project in PROJECTS if project.recognises(weights)]
        assert len(recognised) == 1
        assert title in recognised[0]


def test_help_fits_the_terminal(vocoder_command: Command) -> None:
    result = vocoder_command("import", "--help")
    assert "vocoder import" in result.out.split("Examples:")[1]
    assert max(map(len, result.out.splitlines())) <= 82
