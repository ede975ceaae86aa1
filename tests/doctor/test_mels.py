"""The doctor of mels: broken ones are named from their values, and exactly from the recording."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from tests.features.test_mel import CLIPS
from tests.features.test_mel_check import BASE, RECORDINGS, magnitudes, mel_of, recording, wrong
from vocoder.doctor.dispatch import examine, mel_context
from vocoder.doctor.examination import Examination
from vocoder.doctor.mels.examine import MelContext, examine_mel
from vocoder.doctor.mels.filters import rank_presets, spectrogram_of
from vocoder.doctor.mels.recording import match_recording
from vocoder.errors import CheckpointError, VocoderError
from vocoder.features.mel import PRESETS, MelSpec
from vocoder.features.mel_check import check_mel
from vocoder.features.normalisation import NORMALISATIONS
from vocoder.io.mel_file import write_mel

CONTEXT = MelContext("default", BASE)


def logarithms(audio: Tensor) -> Tensor:
    return magnitudes(audio).clamp_min(1e-5).log()


def missing(audio: Tensor) -> Tensor:
    mel = logarithms(audio)
    mel[:, ::2] = torch.nan
    return mel


def scattered(audio: Tensor) -> Tensor:
    mel = logarithms(audio)
    mel[torch.rand(mel.shape, generator=torch.Generator().manual_seed(0)) < 0.5] = torch.inf
    return mel


def own_range(audio: Tensor) -> Tensor:
    mel = logarithms(audio)
    return 2.0 * (mel - mel.min()) / (mel.max() - mel.min()) - 1.0


def whisper(audio: Tensor) -> Tensor:
    decades = magnitudes(audio, power=2).clamp_min(1e-10).log10()
    return (decades.clamp_min(decades.max() - 8.0) + 4.0) / 4.0


BROKEN: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "log10": (lambda audio: wrong("log10", audio), "decimal logarithms"),
    "dB": (lambda audio: wrong("db", audio), r"dB \(20 log10 x\)"),
    "magnitudes": (lambda audio: wrong("linear", audio), "magnitudes without a logarithm"),
    "powers": (lambda audio: wrong("powers", audio), "powers without a logarithm"),
    "[0, 1]": (lambda audio: wrong("keithito", audio), r"--normalisation keithito\."),
    "[-4, 4]": (lambda audio: wrong("rayhane", audio), r"--normalisation rayhane\."),
    "mean and deviation": (lambda audio: wrong("matcha_lj", audio), "as in Matcha"),
    "statistics": (lambda audio: wrong("stats", audio), "statistics of a training set"),
    "own range": (own_range, r"scaled to a range such as \[-1, 1\]"),
    "Whisper": (whisper, "Whisper's log-mel"),
    "int16": (lambda audio: logarithms(32768.0 * audio), r"--normalisation int16\."),
    "twice": (
        lambda audio: logarithms(audio / audio.abs().max()).clamp_min(1e-5).log(),
        "of logar",
    ),
    "transposed": (lambda audio: logarithms(audio).T, r"^a mel of 80 bands: natural log.* as it"),
    "upside down": (lambda audio: logarithms(audio).flip(0), "upside down: natural logarithms"),
    "half NaN": (missing, "damaged: natural logarithms"),
    "half infinite": (scattered, "damaged: natural logarithms"),
    "batch": (lambda audio: logarithms(audio).expand(3, -1, -1), "damaged: natural logarithms"),
    "audio": (lambda audio: audio, "audio, not a mel"),
    "none": (logarithms, "natural logarithms;.*takes it as it is"),
}


def examined(values: Tensor, folder: Path, context: MelContext = CONTEXT) -> Examination:
    path = folder / "mel.npy"
    np.save(path, values.numpy())
    return examine_mel(path, context)


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_mels_are_named_from_their_values(kind: str, tmp_path: Path) -> None:
    make, expected = BROKEN[kind]
    for name in RECORDINGS[:3]:
        found = examined(make(recording(name, BASE.sample_rate)), tmp_path)
        assert re.search(expected, found.verdict), f"{name}: {found.verdict}"
        right = kind in ("none", "transposed")
        assert (found.severity != "problem") == right, name


@pytest.mark.slow  # every kind of every recording
def test_rates_of_kinds_that_are_named_rightly(tmp_path: Path) -> None:
    names = [path.relative_to(CLIPS).with_suffix("") for path in sorted(CLIPS.rglob("*.flac"))]
    kinds = [kind for kind in BROKEN if kind != "twice"]  # quiet recordings leave nothing of it
    for kind in kinds:
        make, expected = BROKEN[kind]
        mels = [make(recording(str(name), BASE.sample_rate)) for name in names]
        hits = [bool(re.search(expected, examined(mel, tmp_path).verdict)) for mel in mels]
        print(f"{kind}: {sum(hits)} of {len(hits)}")
        assert sum(hits) >= 0.8 * len(hits), kind


@pytest.mark.parametrize("kind", ["log10", "dB", "magnitudes", "[0, 1]", "statistics", "none"])
def test_the_doctor_and_vocode_agree(kind: str, tmp_path: Path) -> None:
    mel = BROKEN[kind][0](recording(RECORDINGS[1], BASE.sample_rate))
    values = next(each for each in examined(mel, tmp_path).findings if each.name == "values")
    assert (values.severity == "problem") == (check_mel(mel, BASE) is not None)
    assert not (found := check_mel(mel, BASE)) or found.likely in values.value


@pytest.mark.parametrize("preset", ["bigvgan_24k_100", "vocos_24k_100", "bigvgan_44k_128_256x"])
def test_filters_are_told_from_the_values(preset: str) -> None:
    spec = spectrogram_of(PRESETS[preset])
    hits = 0
    for name in RECORDINGS:
        ranked = rank_presets(mel_of(recording(name, spec.sample_rate), spec), "ln")
        hits += preset in (ranked[0].name, *ranked[0].aliases)
        assert sum(match.probability for match in ranked) == pytest.approx(1.0)
    assert hits >= 4


def test_without_frames_to_go_by_all_presets_are_possible() -> None:
    ranked = rank_presets(torch.randn(128, 4), "ln")
    assert ranked[0].probability < 0.6
    assert {match.name for match in ranked} >= {"bigvgan_44k_128", "nsf_44k_128"}
    assert rank_presets(torch.randn(77, 40), "ln") == []


@pytest.mark.parametrize("preset", ["hifigan_22k_80", "pwg_24k_80", "vocos_24k_100"])
@pytest.mark.parametrize("name", ["ln", "rayhane", "linear"])
def test_the_recording_tells_settings_normalisation_gain_and_shift(
    preset: str, name: str, tmp_path: Path
) -> None:
    spec = MelSpec.preset(preset)
    audio = recording(RECORDINGS[0], spec.sample_rate)
    mel = (
        dataclasses.replace(spec, log_floor=1e-5)
        .normalised(name)
        .compress(mel_of(0.5 * audio, dataclasses.replace(spec, log="linear", log_floor=1e-10)))
    )
    soundfile.write(tmp_path / "a.wav", audio.numpy(), spec.sample_rate, subtype="FLOAT")
    context = dataclasses.replace(CONTEXT, recording=tmp_path / "a.wav")
    found = {each.name: each for each in examined(mel[:, 9:], tmp_path, context).findings}
    assert preset in found["spectrogram"].value
    assert "reproduces it" in found["spectrogram"].value
    assert NORMALISATIONS[name].title in found["values"].value
    assert found["recording"].value == "starts 9 frames after its beginning; 6.02 dB quieter"


def test_statistics_of_bands_are_told_by_the_recording() -> None:
    audio = recording(RECORDINGS[0], BASE.sample_rate)
    match = match_recording(wrong("stats", audio), audio, BASE.sample_rate)
    assert match is not None
    assert (match.exact, match.per_band, match.preset) == (True, True, "hifigan_22k_80")


@pytest.mark.slow  # each field of the nearest presets is varied
@pytest.mark.parametrize(
    "change",
    [{"hop_length": 300}, {"f_max": 7600.0}, {"f_min": 20.0}, {"norm": "none"}, {"power": 2},
     {"mel_scale": "htk"}, {"win_length": 800}],
)  # fmt: skip
def test_the_single_field_that_differs_is_named(change: dict[str, object]) -> None:
    spec = dataclasses.replace(BASE, **change)  # type: ignore[arg-type]
    audio = recording(RECORDINGS[0], BASE.sample_rate)
    match = match_recording(mel_of(audio, spec), audio, BASE.sample_rate)
    assert match is not None
    assert (match.preset, match.changed) == ("hifigan_22k_80", tuple(change))
    assert match.deviation < 2e-3


@pytest.mark.slow  # no settings reproduce it, so that all are tried
def test_another_recording_is_said_to_be_one() -> None:
    mel = mel_of(recording(RECORDINGS[0], BASE.sample_rate))
    match = match_recording(mel, recording(RECORDINGS[1], BASE.sample_rate), BASE.sample_rate)
    assert match is None or not match.exact


def test_a_file_of_ours_states_what_it_is(tmp_path: Path) -> None:
    spec = BASE.normalised("keithito")
    mel = mel_of(recording(RECORDINGS[0], BASE.sample_rate))
    write_mel(tmp_path / "mel.npy", mel, spec)  # states another normalisation than it has
    found = {each.name: each for each in examine_mel(tmp_path / "mel.npy", CONTEXT).findings}
    assert found["settings"].severity == "problem"
    write_mel(tmp_path / "mel.npy", mel, BASE)
    found = {each.name: each for each in examine_mel(tmp_path / "mel.npy", CONTEXT).findings}
    assert found["settings"].value == "stated in the file: hifigan_22k_80"


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty.npy").touch()
    with pytest.raises(VocoderError, match=r"empty\.npy: the file is empty"):
        examine(str(tmp_path / "empty.npy"))
    with pytest.raises(VocoderError, match=r"none\.npy: no such file"):
        examine(str(tmp_path / "none.npy"))
    with pytest.raises(CheckpointError, match="no_model"):
        mel_context("no_model")
