"""Detectors find planted artefacts, say where and how strong, and are quiet about clean audio."""

import functools
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from vocoder.errors import AudioError
from vocoder.evaluation.artefacts.analysis import Analysis
from vocoder.evaluation.artefacts.artefact import Artefact
from vocoder.evaluation.artefacts.calibration.measure import HARMLESS, FalseAlarms, prepared
from vocoder.evaluation.artefacts.calibration.planted import PLANTED, Planted
from vocoder.evaluation.artefacts.catalogue import DETECTORS, detect
from vocoder.io.audio import read_audio

CLIPS = Path(__file__).parents[3] / "egs" / "clips"
NAMES = ("nathalie/nl_rhasspy_578", "kathleen/arctic_a0290", "flemishguy/nl_rhasspy_883_1601890853")
# Levels that must be found; planted weaker, the artefact may be missed.
FOUND = {
    "tone in pauses, dB above its surroundings": 24,
    "pattern of 256 samples, dB against the recording": -35,
    "image about a quarter of the sample rate, dB against its source": -25,
    "a fricative too weak, dB": -7,
    "a gap of 15 ms in a fricative, dB": -20,
    "the highs too weak, dB": -8,
    "low-pass, dB": -100,
    "impulse, dB above the recording's level": 20,
    "gap of 25 ms, dB": -100,
    "0.1 s of a held note up, cents": 100,
    "tremor of held notes at 11 Hz, cents": 12,
    "offset, dBFS": -39,
    "clipped below the peak, dB": -3,
    "gain, dB": 2.5,
    "gain that changes evenly, dB": 6,
    "white noise, dBFS": -50,
}
HARDER_ALONE = {"tremor of held notes at 11 Hz, cents"}  # its own test


@functools.cache
def clip(name: str) -> tuple[Tensor, int]:
    audio, rate = read_audio(CLIPS / f"{name}.flac")
    return prepared(audio[0, : 4 * rate], rate), rate


@functools.cache
def note(hz: float = 220.0, rate: int = 24000, seconds: float = 2.2) -> tuple[Tensor, int]:
    """A held note with eight harmonics and a vibrato of 15 cents, over some noise."""
    at = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    cents = 15.0 * torch.sin(2.0 * math.pi * 5.5 * at)
    phase = 2.0 * math.pi * (hz * 2.0 ** (cents / 1200.0)).cumsum(0) / rate
    harmonics = torch.arange(1, 9)[:, None]
    audio = 0.2 * (torch.sin(harmonics * phase) / harmonics).sum(0).float()
    noise = torch.randn(len(audio), generator=torch.Generator().manual_seed(0))
    return prepared(audio + 1e-4 * noise, rate), rate


def recordings() -> list[tuple[Tensor, int]]:
    return [clip(name) for name in NAMES] + [note()]


def found(detector: str, audio: Tensor, rate: int, reference: Tensor | None) -> list[Artefact]:
    return [each for each in detect(audio, rate, reference) if each.detector == detector]


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.what)
def test_planted_artefacts_are_found(planted: Planted) -> None:
    level, places = FOUND[planted.what], 0
    for audio, rate in recordings():
        changed = planted.plant(Analysis(audio, rate), level, torch.Generator().manual_seed(1))
        if changed is None:
            continue
        places += 1
        assert found(planted.detector, changed, rate, audio)
        if planted.bare and planted.what not in HARDER_ALONE:
            assert found(planted.detector, changed, rate, None)
        # What the reference has, too, is no artefact.
        assert not found(planted.detector, changed, rate, changed.clone())
    assert places > 0


def test_clean_recordings_are_quiet_whatever_harmless_was_done_to_them() -> None:
    alarms = FalseAlarms()
    for name in NAMES:
        alarms.add(name, *clip(name))
    assert set(alarms.alarms) == {"alone", *HARMLESS}
    fired = [
        line for counts in alarms.alarms.values() for lines in counts.values() for line in lines
    ]
    assert fired == []


def test_a_held_note_with_vibrato_is_quiet() -> None:
    audio, rate = note()
    assert detect(audio, rate) == []


def test_a_tone_is_named_by_its_frequency_level_and_pause() -> None:
    rate = 24000
    at = torch.arange(2 * rate) / rate
    speech = 0.1 * torch.randn(2 * rate, generator=torch.Generator().manual_seed(0))
    speech[round(0.8 * rate) : round(1.3 * rate)] *= 1e-4  # -100 dBFS
    (tone,) = found("tones", speech + 0.001 * torch.sin(2 * math.pi * 3002.0 * at), rate, speech)
    assert tone.begin == pytest.approx(0.8, abs=0.05) and tone.end == pytest.approx(1.3, abs=0.05)
    assert tone.low_hz is not None and tone.high_hz is not None
    assert (tone.low_hz + tone.high_hz) / 2 == pytest.approx(3002.0, abs=1.0)
    assert "a tone at 3,002 Hz" in tone.words and "at -60 dBFS" in tone.words
    assert tone.level > 40.0


@pytest.mark.parametrize("hum", [50.0, 60.0, 150.0, 360.0, 15625.0])
def test_hum_and_whines_are_told_only_against_a_reference(hum: float) -> None:
    audio, rate = clip("kathleen/arctic_a0290")
    at = torch.arange(len(audio)) / rate
    hummed = audio + 0.003 * torch.sin(2 * math.pi * hum * at)
    assert not found("tones", hummed, rate, None)
    assert bool(found("tones", hummed, rate, audio)) == (hum > 80.0)


@pytest.mark.parametrize(("factors", "mirror"), [((8, 8, 2, 2), 6000.0), ((4, 4, 4, 4), 3000.0)])
def test_repeated_samples_make_images_about_half_the_rate_of_their_input(
    factors: tuple[int, ...], mirror: float
) -> None:
    audio, rate = clip("nathalie/nl_rhasspy_578")
    last = factors[-1]
    held = audio[: len(audio) // last * last : last].repeat_interleave(last)
    images = [a for a in detect(held, rate, upsampling=factors) if a.detector == "imaging"]
    assert any(f"about {mirror:,.0f} Hz" in image.words for image in images)


@pytest.mark.parametrize("hop", [200, 256, 300])
def test_patterns_of_frames_are_named_by_their_period(hop: int) -> None:
    audio, rate = clip("nathalie/nl_rhasspy_578")
    pattern = torch.randn(hop, generator=torch.Generator().manual_seed(0)) - 0.0
    repeated = 0.002 * pattern.repeat(len(audio) // hop + 1)[: len(audio)]
    found = [a for a in detect(audio + repeated, rate, hop_length=hop) if a.detector == "hop_lines"]
    assert found and all(f"({hop} samples)" in each.words for each in found)


@pytest.mark.parametrize("decibels", [-6.0, 3.0])
def test_level_is_the_gain(decibels: float) -> None:
    audio, rate = clip("nathalie/nl_rhasspy_578")
    (level,) = found("level", audio * 10.0 ** (decibels / 20.0), rate, audio)
    assert level.level == pytest.approx(decibels, abs=0.05)


def test_an_octave_is_called_one_and_an_error_of_the_tracker_is_none() -> None:
    audio, rate = note()
    middle = slice(rate, rate + rate // 5)
    doubled = audio.clone()
    doubled[middle] = note(hz=440.0)[0][middle]
    (jump,) = found("pitch_steps", doubled, rate, audio)
    assert "up by an octave" in jump.words and jump.level == pytest.approx(1200.0, abs=40.0)
    assert jump.begin == pytest.approx(1.0, abs=0.03) and jump.end == pytest.approx(1.2, abs=0.03)


def test_tremor_alone_is_found_where_it_is_strong() -> None:
    audio, rate = note()
    (planted,) = [each for each in PLANTED if each.detector == "tremor"]
    changed = planted.plant(Analysis(audio, rate), 38.0, torch.Generator())
    assert changed is not None and found("tremor", changed, rate, None)


@pytest.mark.parametrize("rate", [16000, 22050, 24000, 44100, 48000])
@pytest.mark.parametrize("hz", [80.0, 233.0, 1000.0])
def test_pitch_of_held_tones_is_within_3_cents(rate: int, hz: float) -> None:
    at = torch.arange(rate, dtype=torch.float64) / rate
    harmonics = torch.arange(1, 1 + min(8, int(rate / 2 / hz)))[:, None]
    audio = (torch.cos(2 * math.pi * hz * harmonics * at) / harmonics).sum(0).float()
    pitch = Analysis(0.1 * audio, rate).pitch
    inner = slice(5, -5)
    assert (1200.0 * torch.log2(pitch.f0[inner] / hz)).abs().max() < 3.0
    assert pitch.strength[inner].min() > 0.9


def test_levels_are_those_of_a_sine() -> None:
    at = torch.arange(24000) / 24000
    signal = Analysis(torch.sin(2 * math.pi * 1000.0 * at), 24000)
    assert signal.level[5:-5].sub(-3.01).abs().max() < 0.01
    assert signal.fine_level(300.0, 12000.0)[5:-5].sub(-3.01).abs().max() < 0.1


def test_artefacts_are_in_order_and_named_by_the_catalogue() -> None:
    audio, rate = clip("nathalie/nl_rhasspy_578")
    broken = (2.0 * audio).clamp(-0.3, 0.3)
    broken[rate : rate + 700] = 0.0
    artefacts = detect(broken, rate, audio)
    assert {"clipping", "dropouts", "level"} <= {each.detector for each in artefacts}
    assert [each.begin for each in artefacts] == sorted(each.begin for each in artefacts)
    for each in artefacts:
        assert each.detector in DETECTORS and not each.words.endswith(".")
        assert 0.0 <= each.begin <= each.end <= len(audio) / rate + 0.05
        assert each.level == pytest.approx(each.level) and each.unit


@pytest.mark.parametrize("name", DETECTORS)
def test_detectors_define_themselves(name: str) -> None:
    detector = DETECTORS[name]
    assert "level" in detector.definition and detector.label and detector.remedy
    page = CLIPS.parents[1] / "docs" / "pages" / "artefacts.md"
    assert f"`{name}`" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("audio", "reference", "words"),
    [
        (torch.zeros(2000), None, "less than 0.1 s"),
        (torch.zeros(2, 24000), None, "must be mono"),
        (torch.full((24000,), torch.nan), None, "NaN"),
        (torch.zeros(24000), torch.zeros(23000), "align them first"),
        (torch.zeros(24000), torch.full((24000,), torch.inf), "the reference has NaN"),
    ],
)
def test_what_cannot_be_examined_is_an_error(
    audio: Tensor, reference: Tensor | None, words: str
) -> None:
    with pytest.raises(AudioError, match=words):
        detect(audio, 24000, reference)
    with pytest.raises(AudioError, match="8,000 Hz"):
        detect(torch.zeros(24000), 4000)


def test_silence_has_no_artefacts() -> None:
    assert detect(torch.zeros(24000), 24000) == []
    assert detect(torch.zeros(24000), 24000, torch.zeros(24000)) == []
