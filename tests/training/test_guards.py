"""What keeps a run from ending badly: its lock, tidying, the dry run, failures in one line."""

import errno
import json
import logging
import multiprocessing
import os
import shutil
import signal
import threading
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from rich.console import Console

from vocoder.data.manifest import Clip, read_manifest, write_manifest
from vocoder.data.segments import Batch
from vocoder.errors import ConfigError, VocoderError
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.training.guards.failures import failures_in_one_line, file_error
from vocoder.training.guards.lock import LOCK_NAME, locked, tidy
from vocoder.training.reporting.log_handlers import set_up
from vocoder.training.reporting.loggers.base import open_loggers
from vocoder.training.reporting.monitor import Monitor
from vocoder.training.reporting.validation import ValidationClip

from .conftest import settings, trainer

# ------------------------------------------------------------------- known before the first step


def refused_before_the_first_step(
    system: str, manifest: Path, output: Path, *overrides: str, **trainer_settings: object
) -> str:
    """The message of the error by which a run is refused, with nothing trained or saved."""
    values = settings(system, manifest, output, *overrides)
    values["trainer"] |= trainer_settings
    with pytest.raises(VocoderError) as caught:
        trainer(values).run()
    assert not list(output.glob("states/*"))
    assert not (output / "curve.jsonl").exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_objective_without_the_losses_of_the_generator(manifest: Path, tmp_path: Path) -> None:
    message = refused_before_the_first_step(
        "source_filter_22k", manifest, tmp_path, "objective=demo"
    )
    assert "no losses from the generator" in message
    assert "SourceFilter computes the losses ['pitch', 'voicing']" in message


def test_objective_with_losses_that_the_generator_does_not_compute(
    manifest: Path, tmp_path: Path
) -> None:
    message = refused_before_the_first_step("demo", manifest, tmp_path, "objective=source_filter")
    assert "['pitch', 'voicing'] from the generator" in message
    assert "computes no losses" in message


def test_segment_that_is_too_short_for_a_loss(full_band: Path, tmp_path: Path) -> None:
    values = settings("ap_bwe_8k_48k", full_band, tmp_path)
    values["data"]["segment"] = 80
    values["objective"]["reconstruction"]["mel"] = {
        "_target_": "vocoder.losses.spectral.LogMelL1",
        "mel": values["mel"],
    }
    values["objective"]["weights"]["mel"] = 1.0
    with pytest.raises(ConfigError, match=r"data\.segment is 80, too short.*640 is long enough"):
        trainer(values).run()


def test_dry_run_changes_nothing_that_is_trained(manifest: Path, tmp_path: Path) -> None:
    run = trainer(settings("demo", manifest, tmp_path, "trainer.max_steps=1"))
    run.discriminators.eval()
    chosen = next(iter(run.discriminators.children()))
    chosen.train()
    before = [module.training for module in run.discriminators.modules()]
    states = [run.generator, run.discriminators, run.ema.model]
    weights = [{k: v.clone() for k, v in each.state_dict().items()} for each in states]
    run.train_step = lambda _: pytest.fail("trained")  # type: ignore[method-assign, assignment]
    with pytest.raises(pytest.fail.Exception):
        run.run()
    assert [module.training for module in run.discriminators.modules()] == before
    for each, kept in zip(states, weights, strict=True):
        assert all(torch.equal(kept[k], v) for k, v in each.state_dict().items())


def test_empty_split_is_named_with_what_to_do(manifest: Path, tmp_path: Path) -> None:
    clips = [Clip(**vars(clip) | {"split": "train"}) for clip in read_manifest(manifest)]
    write_manifest(tmp_path / "m.csv", clips)
    message = refused_before_the_first_step("demo", tmp_path / "m.csv", tmp_path / "run")
    assert "split 'valid' is empty" in message
    assert "cut a long recording into files" in message


def test_validation_clip_that_is_too_short_is_named(manifest: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "tiny.wav", np.full(220, 0.1), 48000)
    clips = [
        Clip(**vars(c) | {"path": tmp_path / "tiny.wav", "samples": 220, "sample_rate": 48000})
        if c.split == "valid"
        else c
        for c in read_manifest(manifest)
    ]
    write_manifest(tmp_path / "m.csv", clips)
    message = refused_before_the_first_step("demo", tmp_path / "m.csv", tmp_path / "run")
    assert "tiny.wav: 101 samples at 22050 Hz are too short" in message
    assert "needs 256 (0.012 s)" in message


def test_recording_that_is_missing_is_named_before_the_first_step(
    manifest: Path, tmp_path: Path
) -> None:
    clips = read_manifest(manifest)
    (gone,) = [clip for clip in clips if clip.split == "train"][-1:]
    moved = [Clip(**vars(c) | {"path": tmp_path / "gone.wav"}) if c is gone else c for c in clips]
    write_manifest(tmp_path / "m.csv", moved)
    message = refused_before_the_first_step(
        "demo", tmp_path / "m.csv", tmp_path / "run", "data.on_error=stop"
    )
    assert "gone.wav: no such file (1 of " in message


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("validation_seconds", 0.001, "needs 0.012 at least"),
        ("validation_clips", 0, "it must be at least 1"),
        ("workers", -1, "it must be at least 0"),
    ],
)
def test_settings_with_which_nothing_can_be_validated_or_read(
    setting: str, value: float, message: str, manifest: Path, tmp_path: Path
) -> None:
    given = {setting: value}
    assert message in refused_before_the_first_step("demo", manifest, tmp_path, **given)


def test_pesq_as_best_metric_where_it_scores_no_clip(manifest: Path, tmp_path: Path) -> None:
    given = {"best_metric": "pesq", "validation_seconds": 0.1}
    message = refused_before_the_first_step("demo", manifest, tmp_path, **given)
    assert "can score none of 1 validation clips" in message


# ------------------------------------------------------------------------------------- the folder


def hold(folder: Path, ready: Event) -> None:
    """Hold the lock of a folder, with a child that outlives this process when it is killed."""
    with locked(folder):
        child = os.fork()
        if child:
            (folder / "child").write_text(str(child))
            ready.set()
        time.sleep(60)


def test_second_run_is_refused_and_the_lock_of_a_killed_one_is_stale(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    ready = fork.Event()
    holder = fork.Process(target=hold, args=(tmp_path / "run", ready))
    holder.start()
    assert ready.wait(30)
    try:
        with (
            pytest.raises(ConfigError, match=rf"run: another run, process {holder.pid} on .*is tr"),
            locked(tmp_path / "run"),
        ):
            pytest.fail("two runs in one folder")
        holder.kill()
        holder.join()
        with locked(tmp_path / "run"):  # although a child of the killed run is alive
            assert str(os.getpid()) in (tmp_path / "run" / LOCK_NAME).read_text()
            with pytest.raises(ConfigError, match=str(os.getpid())), locked(tmp_path / "run"):
                pytest.fail("two runs of one process in one folder")
    finally:
        holder.kill()
        os.kill(int((tmp_path / "run" / "child").read_text()), signal.SIGKILL)


def test_leftovers_of_killed_runs_are_removed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = [tmp_path / name for name in ("best/config.json", "states/step-00000001.pt", ".mine")]
    old = tmp_path / ".last.0123456789abcdef.old" / "config.json"
    left = [".last.0123456789abcdef/a", ".best.0123456789abcdef.old/a"]
    left += ["states/.step-00000002.pt.0123456789abcdef", ".curve.jsonl.0123456789abcdef"]
    for path in [*kept, old, *(tmp_path / name for name in left)]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    tidy(tmp_path)
    assert all(path.exists() for path in kept)
    assert (tmp_path / "last" / "config.json").read_text() == "config.json"
    assert {path.name for path in tmp_path.iterdir()} == {"best", "last", "states", ".mine"}
    assert len(list((tmp_path / "states").iterdir())) == 1
    assert caplog.text.count("left over from a killed run") == 4
    assert "last: put back" in caplog.text


def test_folder_that_is_removed_during_the_run(manifest: Path, tmp_path: Path) -> None:
    run = trainer(settings("demo", manifest, tmp_path / "run", "trainer.max_steps=3"))
    step = run.train_step

    def removing(batch: Batch) -> dict[str, torch.Tensor]:
        shutil.rmtree(tmp_path / "run")
        return step(batch)

    run.train_step = removing  # type: ignore[method-assign]
    with pytest.raises(VocoderError, match="run: the folder of the run was removed"):
        run.run()
    assert not (tmp_path / "run").exists()


# ------------------------------------------------------------------------------------ the reports


def monitor(folder: Path, first: int = 0) -> Monitor:
    loggers = open_loggers(["tensorboard"], folder, first=first, config={})
    return Monitor(folder, first=first, last=100, console=Console(quiet=True), loggers=loggers)


@pytest.mark.parametrize("torn", [b'{"step": 7, "tra', b"\xff\x00\x00", b'{"step": 7}', b"[3]\n"])
def test_line_of_the_curve_that_was_cut_short_is_dropped(
    torn: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = [{"step": step, "train": {"mel": 0.5}} for step in (5, 10)]
    lines = "".join(json.dumps(line) + "\n" for line in whole).encode()
    (tmp_path / "curve.jsonl").write_bytes(lines + torn)
    with monitor(tmp_path, first=5) as reports:
        reports.losses(6, {"mel": 0.25})
    read = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert read[0] == whole[0]
    assert [line["step"] for line in read] == [5, 6]
    assert ("1 lines dropped" in caplog.text) == (torn != b'{"step": 7}')


@pytest.mark.usefixtures("blank_pictures")
def test_clipping_of_audio_for_tensorboard_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    real = torch.linspace(-1.0, 1.0, 4096)
    fake = real.clone()
    fake[:3] = torch.tensor([1.5, -1.001, 7.0])
    clips = [ValidationClip("lj/a", real, fake), ValidationClip("lj/b", real, real)]
    with monitor(tmp_path) as reports:
        mel = MelSpectrogram(MelSpec.preset("hifigan_22k_80"))
        reports.validation(1, {"log_mel": 1.0}, clips, mel)
    assert "clipped in the reported audio: 3 of 4096 samples of lj/a (fake)" in caplog.text
    assert "lj/b" not in caplog.text


def test_failure_of_tensorboards_thread_is_raised_without_a_traceback(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    hook = threading.excepthook

    def report() -> None:
        with monitor(tmp_path) as reports:
            reports.loggers[0].writer.flush()  # its thread has written the header, and is idle
            shutil.rmtree(tmp_path / "tensorboard")
            reports.losses(1, {"mel": 1.0})

    with pytest.raises(OSError, match="No such file"):
        report()
    assert "Traceback" not in capfd.readouterr().err
    assert threading.excepthook is hook


def test_failure_of_the_reports_does_not_replace_an_error_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def report() -> None:
        with monitor(tmp_path) as reports:
            monkeypatch.setattr(reports.loggers[0].writer, "close", failing)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        report()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that is always full")
def test_log_on_a_full_disk_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    handler, root = logging.FileHandler("/dev/full", delay=False), logging.getLogger()
    root.addHandler(handler)
    try:
        set_up(Console(quiet=True))
        for _ in range(3):
            logging.getLogger("a").warning("b")
    finally:
        root.removeHandler(handler)
        with pytest.raises(OSError, match="No space"):
            handler.close()
    assert capsys.readouterr().err == "/dev/full: No space left on device; no more is logged\n"


# ----------------------------------------------------------------------------------- the failures


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "runs/x: No space left on device; free"),
        (PermissionError(errno.EACCES, "Permission denied", "a.pt"), "a.pt: Permission denied; ch"),
        (OSError("odd"), "runs/x: odd"),
        (MemoryError(), "memory ran out; lower data.batch_size"),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has"),
            r"memory ran out \(for 20.00 GiB more\); lower data.batch_size",
        ),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), "memory ran out"),
    ],
)
def test_failures_of_the_machine_are_one_line(error: Exception, message: str) -> None:
    with pytest.raises(VocoderError, match=message) as caught, failures_in_one_line("runs/x"):
        raise error
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is error


def test_allocation_that_is_too_large_for_the_machine_is_one_line() -> None:
    with pytest.raises(VocoderError, match="memory ran out"), failures_in_one_line("runs/x"):
        torch.empty(2**60, dtype=torch.uint8)


def test_faults_of_the_program_keep_their_kind() -> None:
    for fault in (RuntimeError("shapes differ"), KeyError("mel")):
        with pytest.raises(type(fault)) as caught, failures_in_one_line("runs/x"):
            raise fault
        assert caught.value is fault
    assert isinstance(file_error(OSError("odd"), "x"), VocoderError)
