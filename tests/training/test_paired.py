"""Training on pairs of files, end to end: `vocoder prepare --mels`, --narrowband, then steps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vocoder.data.manifest import read_manifest
from vocoder.data.segments import Batch
from vocoder.degradations.band_limits import BodyConduction
from vocoder.errors import ConfigError, MelMismatchError
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.io.audio import read_audio, resample_soxr, write_audio

from .conftest import CLIPS, settings, trainer

Command = Callable[..., Any]
PRESET = "hifigan_22k_80"


def predict(path: Path, folder: Path, *, off: int, transposed: bool) -> Path:
    """Write a bare mel file of a recording, `off` frames longer, to the same path in `folder`."""
    audio, rate = read_audio(path)
    spec = MelSpec.preset(PRESET)
    mel = MelSpectrogram(spec)(resample_soxr(audio, rate, spec.sample_rate)[None])[0]
    mel = torch.cat([mel, mel[:, :20]], dim=-1)[:, : mel.shape[-1] + off]
    target = folder / path.relative_to(CLIPS).with_suffix(".npy")
    target.parent.mkdir(parents=True, exist_ok=True)
    np.save(target, (mel.T if transposed else mel).numpy())
    return target


@pytest.fixture
def mels(tmp_path: Path, clips: list[Path]) -> list[Path]:
    """Mels of all clips, in both layouts, in turn of exact length, a frame longer and shorter."""
    return [
        predict(clip, tmp_path / "mels", off=number % 3 - 1, transposed=number % 2 == 0)
        for number, clip in enumerate(clips)
    ]


@pytest.fixture
def prepared(tmp_path: Path, mels: list[Path], vocoder_command: Command) -> Path:
    common = ("--mels", tmp_path / "mels", "--preset", PRESET)
    result = vocoder_command("prepare", CLIPS, "-o", tmp_path / "pairs.csv", *common)
    assert (result.code, result.err) == (0, "")
    assert result.out.endswith("12 clips, 8 pairs trimmed to the shorter\n")
    return tmp_path / "pairs.csv"


def test_pairs_that_differ_by_a_frame_train(prepared: Path, tmp_path: Path) -> None:
    values = settings(
        "demo", prepared, tmp_path / "run", "trainer.max_steps=2", "trainer.validate_every=2",
        "trainer.workers=1",
    )  # fmt: skip
    run = trainer(values)
    before = [weight.clone() for weight in run.generator.parameters()]
    assert run.run() == 0
    after = run.generator.parameters()
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert np.isfinite(run.scores["log_mel"])


def test_generator_input_is_the_mel_of_the_file(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trainer(settings("demo", prepared, tmp_path / "run"))
    given: list[torch.Tensor] = []
    run.generator.register_forward_pre_hook(
        lambda _, __, inputs: given.append(inputs["mel"]), with_kwargs=True
    )
    monkeypatch.setattr(run.features["mel"], "forward", None)
    batch = run.segments[0]
    run.train_step(batch)
    assert torch.equal(given[0], batch.features["mel"])
    assert given[0].shape == (2, 80, 8)
    run.ema.model.register_forward_pre_hook(
        lambda _, __, inputs: given.append(inputs["mel"]), with_kwargs=True
    )
    run.validator.run(run.ema.model, run.features)
    (held_out,) = (clip for clip in read_manifest(prepared, split="valid"))
    stored = torch.from_numpy(np.load(held_out.mel))
    stored = stored if len(stored) == 80 else stored.T
    assert torch.equal(given[-1][0], stored[:, : given[-1].shape[-1]])


def test_pairs_of_different_length_are_named_and_the_others_written(
    mels: list[Path], clips: list[Path], tmp_path: Path, vocoder_command: Command
) -> None:
    expected = len(np.load(predict(clips[3], tmp_path / "mels", off=0, transposed=True)))
    predict(clips[3], tmp_path / "mels", off=20, transposed=True)
    mels[5].unlink()
    common = ("--mels", tmp_path / "mels", "--model", "default")
    result = vocoder_command("prepare", CLIPS, "-o", tmp_path / "some.csv", *common)
    assert result.code == 2
    far, missing = result.err.splitlines()
    assert far.startswith(f"error: {clips[3]}: {mels[3]} has {expected + 20} frames, ")
    assert f"the recording gives {expected} " in far
    assert missing == f"error: {clips[5]}: no mel file of that name in {tmp_path / 'mels'}"
    written = {clip.path for clip in read_manifest(tmp_path / "some.csv")}
    assert written == set(clips) - {clips[3], clips[5]}


@pytest.mark.parametrize("workers", [0, 1])
def test_mel_that_has_changed_since_ends_the_run_and_is_named(
    workers: int, prepared: Path, mels: list[Path], clips: list[Path], tmp_path: Path
) -> None:
    values = settings(
        "demo", prepared, tmp_path / "run", "trainer.max_steps=9", f"trainer.workers={workers}",
        "data.on_error=stop",
    )  # fmt: skip
    run = trainer(values)
    (held_out,) = read_manifest(prepared, split="valid")
    changed = {
        clip: (mel, np.load(predict(clip, tmp_path / "mels", off=20, transposed=False)).shape[-1])
        for clip, mel in zip(clips, mels, strict=True)
    }
    with pytest.raises(MelMismatchError) as caught:
        run.run()
    named = {clip for clip in clips if str(caught.value).startswith(f"{clip}: {changed[clip][0]} ")}
    assert len(named - {held_out.path}) == 1
    assert f"has {changed[named.pop()][1]} frames, the recording gives" in str(caught.value)


def test_mels_without_a_spec_need_a_preset(
    mels: list[Path], tmp_path: Path, vocoder_command: Command
) -> None:
    command = ("prepare", CLIPS, "-o", tmp_path / "m.csv", "--mels", tmp_path / "mels")
    result = vocoder_command(*command)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert result.err.startswith(f"error: {mels[0]}: does not state how the mel was made")
    assert "--preset" in result.err
    assert not (tmp_path / "m.csv").exists()


def test_mels_of_another_system_are_refused_before_the_first_step(
    prepared: Path, tmp_path: Path
) -> None:
    with pytest.raises(MelMismatchError, match=r"\.npy: .*sample_rate 22050 \(model: 24000\)"):
        trainer(settings("vocos_24k", prepared, tmp_path / "run"))


def test_speed_change_is_refused_for_pairs(prepared: Path, tmp_path: Path) -> None:
    values = settings("demo", prepared, tmp_path / "run")
    values["data"]["speed"] = [0.8, 1.25]
    with pytest.raises(ConfigError, match=r"data\.speed"):
        trainer(values)


def test_features_that_are_not_in_a_batch_are_computed(manifest: Path, tmp_path: Path) -> None:
    run = trainer(settings("demo", manifest, tmp_path / "run"))
    batch = run.segments[0]
    assert isinstance(batch, Batch)
    assert batch.features == {}
    computed = run.features(batch.audio, batch.features)["mel"]
    assert torch.equal(computed, run.features["mel"](batch.audio))


# ---------------------------------------------------------------------------- narrow-band copies


def in_ear(path: Path, folder: Path, *, more: int = 0) -> Path:
    """Write a body-conducted copy of a recording, at 16 kHz and `more` samples longer."""
    audio, rate = read_audio(path)
    torch.manual_seed(0)
    copy = BodyConduction()(resample_soxr(audio, rate, 16000)[None], 16000)[0]
    target = folder / path.relative_to(CLIPS).with_suffix(".wav")
    write_audio(target, 0.5 * torch.nn.functional.pad(copy, (0, more)), 16000)
    return target


@pytest.fixture
def with_copies(tmp_path: Path, clips: list[Path], vocoder_command: Command) -> Path:
    """A manifest of clips with copies, in turn of exact length and 10 ms longer and shorter."""
    for number, clip in enumerate(clips):
        in_ear(clip, tmp_path / "in_ear", more=160 * (number % 3 - 1))
    common = ("--narrowband", tmp_path / "in_ear")
    result = vocoder_command("prepare", CLIPS, "-o", tmp_path / "pairs.csv", *common)
    assert (result.code, result.err) == (0, "")
    assert "12 clips" in result.out
    assert result.out.endswith("pairs trimmed to the shorter\n")
    return tmp_path / "pairs.csv"


@pytest.mark.usefixtures("blank_pictures")
def test_extender_trains_on_copies(with_copies: Path, tmp_path: Path) -> None:
    values = settings(
        "eben", with_copies, tmp_path / "run", "trainer.max_steps=2", "trainer.validate_every=2",
        "trainer.best_metric=lsd",
    )  # fmt: skip
    run = trainer(values)
    before = [weight.clone() for weight in run.generator.parameters()]
    assert run.run() == 0
    after = run.generator.parameters()
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert 0.0 < run.best["lsd"] < 10.0
    assert (tmp_path / "run/best").is_dir()


def test_generator_input_is_the_copy_of_the_file(
    with_copies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trainer(settings("eben", with_copies, tmp_path / "run"))
    given: list[torch.Tensor] = []
    for generator in (run.generator, run.ema.model):
        generator.register_forward_pre_hook(
            lambda _, __, inputs: given.append(inputs["narrowband"]), with_kwargs=True
        )
    monkeypatch.setattr(run.features["narrowband"], "forward", None)
    batch = run.segments[0]
    run.train_step(batch)
    assert torch.equal(given[0], batch.features["narrowband"])
    assert given[0].shape == batch.audio.shape
    scores, (made,) = run.validator.run(run.ema.model, run.features)
    assert "lsd" in scores
    (held_out,) = read_manifest(with_copies, split="valid")
    copy = read_audio(held_out.narrowband)[0]
    samples = len(made.fake)
    assert samples % run.generator.hop_length == 0
    assert torch.equal(given[-1][0], copy[:, :samples])


def test_copies_of_another_length_are_named_and_the_others_written(
    clips: list[Path], tmp_path: Path, vocoder_command: Command
) -> None:
    copies = [in_ear(clip, tmp_path / "in_ear") for clip in clips]
    in_ear(clips[3], tmp_path / "in_ear", more=16000)
    copies[5].unlink()
    common = ("--narrowband", tmp_path / "in_ear")
    result = vocoder_command("prepare", CLIPS, "-o", tmp_path / "some.csv", *common)
    assert result.code == 2
    far, missing = result.err.splitlines()
    assert far.startswith(f"error: {clips[3]}: {copies[3]} lasts ")
    assert missing == f"error: {clips[5]}: no narrowband file of that name in {tmp_path}/in_ear"
    written = {clip.path for clip in read_manifest(tmp_path / "some.csv")}
    assert written == set(clips) - {clips[3], clips[5]}


def test_copies_and_lsd_are_refused_for_vocoders(with_copies: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="takes no narrowband"):
        trainer(settings("demo", with_copies, tmp_path / "run"))
    with pytest.raises(ConfigError, match="best_metric is 'lsd'"):
        trainer(settings("demo", with_copies, tmp_path / "run", "trainer.best_metric=lsd"))
