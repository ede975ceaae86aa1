"""`vocoder stream`: mels through one pipe, PCM through the other; one line if they are bad."""

import dataclasses
import io
import json
import os
import runpy
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from vocoder.build import build
from vocoder.checkpoint import ModelConfig, save_model
from vocoder.cli.app import main
from vocoder.features.mel_conversion import convert
from vocoder.inference.streams.synthesis import Stream as LiveStream
from vocoder.inference.vocoder import load
from vocoder.io.audio import read_audio

EXAMPLES = Path(__file__).parents[2] / "egs"
EXAMPLE, RECORDING = EXAMPLES / "stream.py", EXAMPLES / "clips" / "gd" / "taiwan.flac"


class Result(NamedTuple):
    code: int
    out: bytes
    err: str


Stream = Callable[..., Result]


@pytest.fixture
def stream(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], tiny_model: Path
) -> Stream:
    """Run `vocoder stream` of a tiny model in this process, with these bytes, if any, on stdin."""

    def command(data: bytes | None, *arguments: str, model: str | Path = tiny_model) -> Result:
        monkeypatch.setattr("sys.argv", ["vocoder", "stream", "--model", str(model), *arguments])
        if data is not None:
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capfdbinary.readouterr()
        return Result(int(stop.value.code or 0), captured.out, captured.err.decode())

    return command


@pytest.fixture
def mel() -> NDArray[np.float32]:
    noise = np.random.default_rng(0).standard_normal((80, 30)).astype(np.float32)
    return noise - 4.0


def npy(mel: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, mel)
    return file.getvalue()


def raw(mel: NDArray[Any]) -> bytes:
    return mel.T.astype("<f4").tobytes()


def close(out: bytes, audio: NDArray[np.float32]) -> bool:
    """Whether 16-bit samples are the audio, up to rounding."""
    values = np.frombuffer(out, "<i2").astype(np.float64)
    return bool(np.abs(values - 32768.0 * audio.astype(np.float64)).max() <= 0.5 + 32768e-6)


def one_line(result: Result, *words: str) -> None:
    assert result.code == 2
    assert result.err.startswith("error: ") and result.err.count("\n") == 1
    for word in words:
        assert word in result.err


@pytest.mark.parametrize(
    ("form", "write", "chunk"), [("npy", npy, "32"), ("npy", npy, "1"), ("f32", raw, "7")]
)
def test_mels_become_the_audio_of_one_call(
    stream: Stream,
    tiny_model: Path,
    mel: NDArray[np.float32],
    form: str,
    write: Callable[..., bytes],
    chunk: str,
) -> None:
    result = stream(write(mel), "--mel-format", form, "--chunk", chunk)
    assert (result.code, result.err) == (0, "")
    assert close(result.out, load(tiny_model)(mel))


def test_floats_and_header(stream: Stream, tiny_model: Path, mel: NDArray[np.float32]) -> None:
    result = stream(npy(mel), "--audio-format", "f32", "--wav")
    audio = load(tiny_model)(mel)
    np.testing.assert_allclose(np.frombuffer(result.out[44:], "<f4"), audio, rtol=0, atol=1e-6)
    with soundfile.SoundFile(io.BytesIO(result.out)) as file:
        assert (file.samplerate, file.subtype) == (22050, "FLOAT")


def test_mels_of_other_settings_are_converted(
    stream: Stream, tiny_model: Path, mel: NDArray[np.float32], tmp_path: Path
) -> None:
    vocoder = load(tiny_model)
    other = dataclasses.replace(vocoder.spec, log="log10")
    (tmp_path / "mel.json").write_text(json.dumps(other.to_dict()))
    in_log10 = (mel / np.log(10.0)).astype(np.float32)
    result = stream(npy(in_log10), "--preset", str(tmp_path / "mel.json"))
    assert close(result.out, vocoder(in_log10, spec=other))


@pytest.mark.parametrize("pieces", [1, 60])
@pytest.mark.parametrize(("form", "write"), [("npy", npy), ("f32", raw)])
def test_mels_of_another_normalisation_are_refused_unless_it_is_stated(
    stream: Stream, tiny_model: Path, form: str, write: Callable[..., bytes], pieces: int
) -> None:
    vocoder = load(tiny_model)
    audio, rate = read_audio(RECORDING, frames=40_000)
    mel = vocoder.mel(audio.numpy(), sample_rate=rate)
    other = vocoder.spec.normalised("keithito")
    scaled = convert(torch.from_numpy(mel), vocoder.spec, other).numpy()
    data = b"".join(write(part) for part in np.array_split(scaled, pieces, axis=1))
    result = stream(data, "--mel-format", form)
    one_line(result, "stdin: the mel is probably dB scaled to [0, 1]", "--normalisation keithito")
    assert result.out == b"" or pieces > 1
    result = stream(data, "--mel-format", form, "--normalisation", "keithito")
    assert result.code == 0
    assert close(result.out, vocoder(scaled, spec=other))


def test_mels_with_frames_first_are_turned(
    stream: Stream, tiny_model: Path, mel: NDArray[np.float32]
) -> None:
    result = stream(npy(mel.T))
    assert (result.code, result.err) == (0, "")
    assert close(result.out, load(tiny_model)(mel))


def test_clipping_is_counted_at_the_end(
    stream: Stream,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    mel: NDArray[np.float32],
) -> None:
    push = LiveStream.push
    monkeypatch.setattr(LiveStream, "push", lambda live, mel: push(live, mel) + 2.0)
    assert stream(npy(mel)).code == 0
    (message,) = caplog.messages
    assert message.startswith("stdout: ") and " are beyond full scale" in message


def test_buffer_health_goes_to_stderr(stream: Stream, mel: NDArray[np.float32]) -> None:
    result = stream(npy(mel), "--realtime")
    assert result.code == 0
    assert len(result.out) == 2 * 30 * 256
    assert result.err.startswith("in all 0.35 s of audio in ")
    assert result.err.endswith("under-runs: 0\n")


@pytest.mark.parametrize(
    ("data", "arguments", "words"),
    [
        (b"", (), "stdin: no mel frame arrived"),
        (b"hello", (), "stdin, array 1: not an .npy array"),
        (
            npy(np.zeros((81, 5), "f4")),
            (),
            "has the shape [81, 5]; a stream takes mels [80, f] or [f, 80]",
        ),
        (npy(np.full((80, 5), np.nan)), (), "stdin, frames 1 to 5: the mel has 400 of 400"),
        (raw(np.zeros((80, 5)))[:-3], ("--mel-format", "f32"), "ends 317 bytes into frame 5"),
        (npy(np.zeros((80, 5), "f4")), ("--preset", "no_such"), "no mel preset 'no_such'"),
        (npy(np.zeros((80, 5), "f4")), ("--preset", "vocos_24k_100"), "n_mels 100 (model: 80)"),
    ],
)
def test_bad_input_ends_with_one_line(
    stream: Stream, data: bytes, arguments: tuple[str, ...], words: str
) -> None:
    one_line(stream(data, *arguments), words)


def test_model_that_cannot_stream_is_named(
    stream: Stream, tmp_path: Path, tiny_config: ModelConfig
) -> None:
    generator = {
        "_target_": "vocoder.generators.pitched.hiftnet.HiFTNet",
        "mel": {"_target_": "vocoder.features.mel.MelSpec", **tiny_config.mel.to_dict()},
        "pitch": {"_target_": "vocoder.generators.pitched.jdc.JDC", "n_mels": 80, "channels": 4},
        "upsample_rates": [16, 4],
        "upsample_kernel_sizes": [32, 8],
        "channels": 8,
        "resblock_kernel_sizes": [3],
        "resblock_dilations": [[1]],
    }
    config = dataclasses.replace(tiny_config, name="whole", generator=generator)
    save_model(tmp_path / "whole", build(generator), config)
    result = stream(npy(np.zeros((80, 5), "f4")), model=tmp_path / "whole")
    one_line(result, "whole: pitch.bilstm_classifier (LSTM", "cannot stream")
    assert result.out == b""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("name", "file", "words"),
    [
        ("stdin", Terminal(), "stdin is a terminal; pipe mels in"),
        ("stdout", Terminal(), "stdout is a terminal; pipe it into a player"),
        ("stdin", None, "stdin is closed"),
        ("stdout", None, "stdout is closed"),
    ],
)
def test_both_ends_are_pipes_or_files(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, name: str, file: Any, words: str
) -> None:
    monkeypatch.setattr(f"sys.{name}", file)
    one_line(stream(None if name == "stdin" else b""), words)


def test_reader_that_has_gone_is_no_error(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, mel: NDArray[np.float32]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as out:
        monkeypatch.setattr("sys.stdout", out)
        result = stream(npy(mel))
    assert (result.code, result.err) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_full_disk_ends_with_one_line(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, mel: NDArray[np.float32]
) -> None:
    with Path("/dev/full").open("w") as out:
        monkeypatch.setattr("sys.stdout", out)
        result = stream(npy(mel))
    one_line(result, "stdout: cannot be written (No space left on device)")


def test_ctrl_c(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vocoder.cli.pipe.read_npy", interrupt)
    result = stream(b"")
    assert result.code == 130
    assert "Traceback" not in result.err


def test_audio_comes_out_of_a_real_pipe_while_mels_go_in(
    tiny_model: Path, mel: NDArray[np.float32]
) -> None:
    command = [sys.executable, "-m", "vocoder", "stream", "--model", str(tiny_model)]
    first, second = np.split(mel, 2, axis=1)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(npy(first))
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], 60.0)
        assert ready, "no audio before the end of the mels"
        early = os.read(process.stdout.fileno(), 1 << 20)
        late, _ = process.communicate(npy(second))
    assert process.returncode == 0
    assert 0 < len(early) < 2 * 256 * first.shape[1]
    assert close(early + late, load(tiny_model)(mel))


def test_example_streams_and_plays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    player = tmp_path / "ffplay"
    player.write_text(f"#!/bin/sh\ncat > {tmp_path}/played.wav\n")
    player.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("sys.argv", ["stream.py", "--play"])
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    out = capsys.readouterr().out
    written, rate = soundfile.read("out/stream.wav", dtype="int16")
    assert rate == 22050
    assert Path("played.wav").read_bytes()[44:] == written.tobytes()
    # Rounding changes the estimated F0, hence the phase; a click would be far larger.
    assert float(out.split("largest difference to one-shot: ")[1]) < 1e-5
    assert "look-ahead 0." in out
