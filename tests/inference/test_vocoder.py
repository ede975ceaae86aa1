"""Vocoders: exact lengths and layouts, kinds of arrays, batches, and errors."""

import dataclasses
import json
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.utils.parametrize import is_parametrized

import vocoder
from vocoder.checkpoint import load_model
from vocoder.errors import AudioError, CheckpointError, ConfigError, MelMismatchError
from vocoder.features.mel import PRESETS, MelSpec, MelSpectrogram
from vocoder.inference.vocoder import Vocoder
from vocoder.io.audio import read_audio, resample_soxr

SPEC = MelSpec.preset("hifigan_22k_80")


@pytest.fixture
def tiny(tiny_model: Path) -> Vocoder:
    return vocoder.load(tiny_model)


def noise(*shape: int) -> Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def real_mel(clips: list[Path]) -> Tensor:
    audio, rate = read_audio(clips[0])
    return MelSpectrogram(SPEC)(resample_soxr(audio, rate, SPEC.sample_rate)[None])[0]


@pytest.mark.parametrize("rate", [8000, 22050, 24000, 48000])
@pytest.mark.parametrize("samples", [3, 255, 256, 1000, 5001])
def test_copy_synthesis_returns_the_length_of_the_input(
    tiny: Vocoder, samples: int, rate: int
) -> None:
    audio = tiny.resynth(noise(samples), sample_rate=rate)
    assert audio.shape == (round(samples * 22050 / rate),)


@pytest.mark.parametrize("name", sorted(PRESETS))
@pytest.mark.parametrize("samples", [600, 5120, 5121])
def test_griffin_lim_returns_the_length_of_the_input_for_any_spec(name: str, samples: int) -> None:
    spec = MelSpec.preset(name)
    baseline = vocoder.load("griffin-lim", mel=spec)
    assert (baseline.spec, baseline.sample_rate) == (spec, spec.sample_rate)
    audio = baseline.resynth(noise(samples), sample_rate=spec.sample_rate)
    assert audio.shape == (samples,)
    assert torch.isfinite(audio).all()


@pytest.mark.parametrize("frames", [1, 2, 31])
def test_vocoding_gives_hop_length_samples_per_frame(tiny: Vocoder, frames: int) -> None:
    assert tiny(noise(80, frames)).shape == (frames * 256,)
    assert tiny(noise(3, 80, frames)).shape == (3, frames * 256)


def test_recordings_of_any_rate_become_the_mel_of_the_spec(
    tiny: Vocoder, clips: list[Path]
) -> None:
    for clip in clips:
        audio, rate = read_audio(clip)
        mel = tiny.mel(audio, sample_rate=rate)
        signal = resample_soxr(audio, rate, 22050)[0]
        assert mel.shape == (80, math.ceil(len(signal) / 256))
        expected = MelSpectrogram(SPEC)(signal[None, None])[0]
        # The last frames contain the zeros that fill up the last hop.
        torch.testing.assert_close(mel[:, : len(signal) // 256 - 2], expected[:, :-2])


def test_channels_are_averaged(tiny: Vocoder) -> None:
    left, right = noise(2, 4000)
    both = tiny.mel(torch.stack([left, right]), sample_rate=22050)
    torch.testing.assert_close(both, tiny.mel((left + right) / 2, sample_rate=22050))


def test_every_layout_gives_the_same_audio(tiny: Vocoder, clips: list[Path]) -> None:
    mel = real_mel(clips)
    audio = tiny(mel)
    assert torch.equal(tiny(mel.T), audio)
    assert torch.equal(tiny(mel[None]), audio[None])
    assert torch.equal(tiny(mel.double()), audio)


def test_square_mel_is_bands_by_frames(tiny: Vocoder) -> None:
    mel = noise(80, 80)
    torch.testing.assert_close(tiny(mel)[: 60 * 256], tiny(mel[:, :79])[: 60 * 256])


def test_numpy_arrays_give_numpy_arrays(tiny: Vocoder) -> None:
    audio = noise(2000)
    mel = tiny.mel(audio, sample_rate=22050)
    for result, expected in (
        (tiny.mel(audio.numpy(), sample_rate=22050), mel),
        (tiny(mel.numpy()), tiny(mel)),
        (tiny(mel.numpy()[::-1]), tiny(mel.flip(0))),
        (
            tiny.resynth(audio.numpy(), sample_rate=22050),
            tiny.resynth(audio, sample_rate=22050),
        ),
    ):
        assert isinstance(result, np.ndarray)
        assert np.array_equal(result, expected.numpy())


def test_results_can_be_written_to_without_changing_the_input(tiny: Vocoder) -> None:
    mel = noise(80, 5).requires_grad_()
    before = mel.detach().clone()
    for result in (
        tiny(mel),
        tiny(mel[None], lengths=[3]),
        tiny.mel(noise(500), sample_rate=22050),
    ):
        result *= 0.5
        assert not result.requires_grad
    assert torch.equal(mel, before)


def test_batch_is_every_item_by_itself(tiny: Vocoder) -> None:
    mels = noise(3, 80, 12)
    torch.testing.assert_close(tiny(mels), torch.stack([tiny(mel) for mel in mels]))


def test_padding_of_a_batch_does_not_matter(tiny: Vocoder) -> None:
    lengths = [40, 25, 1]
    mels = noise(3, 80, 40)
    other = mels.clone()
    for item, length in enumerate(lengths):
        other[item, :, length:] = 3.0
    audio = tiny(mels, lengths=lengths)
    assert torch.equal(tiny(other, lengths=lengths), audio)
    for item, length in enumerate(lengths):
        assert not audio[item, length * 256 :].any()
        torch.testing.assert_close(audio[item, : length * 256], tiny(mels[item, :, :length]))


@pytest.mark.parametrize("lengths", [[5], [5, 6, 7], [0, 5], [5, 11], []])
def test_lengths_that_do_not_fit_are_refused(tiny: Vocoder, lengths: list[int]) -> None:
    with pytest.raises(MelMismatchError, match="give 2 of them, from 1 to 10 frames"):
        tiny(noise(2, 80, 10), lengths=lengths)


@pytest.mark.parametrize("log", ["log10", "db"])
def test_mel_of_another_logarithm_is_converted(tiny: Vocoder, clips: list[Path], log: Any) -> None:
    mel = real_mel(clips)
    other = dataclasses.replace(SPEC, log=log, mean=(0.5,) * 80, scale=(2.0,) * 80)
    converted = MelSpectrogram(other).spec.compress(SPEC.expand(mel))
    torch.testing.assert_close(tiny(converted, spec=other), tiny(mel), atol=1e-4, rtol=1e-3)


def test_mel_of_other_settings_names_the_fields(tiny: Vocoder) -> None:
    with pytest.raises(MelMismatchError) as error:
        tiny(noise(80, 5), spec=dataclasses.replace(SPEC, hop_length=300, f_max=7600.0))
    assert "hop_length 300 (model: 256)" in str(error.value)
    assert "f_max 7600.0 (model: 8000.0)" in str(error.value)
    with pytest.raises(MelMismatchError, match=r"n_mels 100 \(model: 80\)"):
        tiny(noise(100, 5), spec=dataclasses.replace(SPEC, n_mels=100))


BAD_MELS = {
    "has the shape": [np.float32(1.0), np.zeros(80, "f4"), np.zeros((1, 1, 80, 5), "f4")],
    "is empty": [np.zeros((80, 0), "f4"), np.zeros((0, 80, 5), "f4")],
    "n_mels is 80": [np.zeros((100, 5), "f4"), np.zeros((2, 81, 79), "f4")],
    "NaN or infinite": [np.full((80, 5), np.nan), np.full((80, 5), -np.inf)],
    "give floats": [np.zeros((80, 5), "i4"), np.zeros((80, 5), "c8"), np.full((80, 5), "a")],
}


@pytest.mark.parametrize(
    ("words", "mel"), [(words, mel) for words, mels in BAD_MELS.items() for mel in mels]
)
def test_bad_mels_are_refused(tiny: Vocoder, words: str, mel: Any) -> None:
    with pytest.raises(MelMismatchError, match=words):
        tiny(mel)


@pytest.mark.parametrize(
    ("words", "audio"),
    [
        ("empty", torch.zeros(0)),
        ("empty", torch.zeros(2, 0)),
        ("no sample left", torch.zeros(1)),
        ("shape", torch.zeros(1, 1, 100)),
        ("shape", torch.zeros(100, 2)),
        ("shape", torch.tensor(0.5)),
        ("NaN or infinite", torch.full((100,), math.nan)),
        ("give floats", torch.zeros(100, dtype=torch.int16)),
    ],
)
def test_bad_audio_is_refused(tiny: Vocoder, words: str, audio: Tensor) -> None:
    rate = 96000
    for call in (tiny.mel, tiny.resynth):
        with pytest.raises(AudioError, match=words):
            call(audio, sample_rate=rate)
    with pytest.raises(AudioError, match="rate"):
        tiny.mel(torch.zeros(100), sample_rate=0)


@pytest.mark.parametrize(
    "audio",
    [torch.zeros(5000), torch.ones(5000), noise(100), torch.sign(noise(5000)), 1e-9 * noise(5000)],
    ids=["silent", "constant", "short", "clipped", "faint"],
)
@pytest.mark.parametrize("name", ["tiny", "griffin-lim"])
def test_silent_short_and_clipped_audio_is_vocoded(tiny: Vocoder, name: str, audio: Tensor) -> None:
    model = tiny if name == "tiny" else vocoder.load(name)
    result = model.resynth(audio, sample_rate=22050)
    assert result.shape == audio.shape
    assert torch.isfinite(result).all()


def test_only_impossible_mels_give_a_warning(
    tiny: Vocoder, clips: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "vocoder")
    mel = real_mel(clips)
    tiny(mel)
    tiny(tiny.mel(torch.sign(noise(5000)), sample_rate=22050))
    tiny(tiny.mel(torch.zeros(5000), sample_rate=22050))
    assert not caplog.records
    for other in (mel * 20 / math.log(10), SPEC.expand(mel) * 1000):  # decibels; no logarithm
        caplog.clear()
        tiny(other)
        assert "the mel is probably" in caplog.text


def test_weight_norm_is_folded_without_changing_the_audio(tiny_model: Path) -> None:
    generator, config = load_model(tiny_model)
    mel = noise(80, 9)
    expected = generator(mel=mel[None])[0, 0]
    folded = Vocoder(generator, config)
    assert not any(is_parametrized(module) for module in generator.modules())
    torch.testing.assert_close(folded(mel), expected)
    assert folded.num_parameters == sum(p.numel() for p in generator.parameters())


def test_only_griffin_lim_takes_another_mel(tiny_model: Path) -> None:
    assert vocoder.load(tiny_model, mel=SPEC).spec == SPEC
    with pytest.raises(ConfigError, match="only griffin-lim takes any"):
        vocoder.load(tiny_model, mel=MelSpec.preset("vocos_24k_100"))


@pytest.mark.parametrize("device", ["cuda:99", "nowhere"])
def test_missing_device_is_named(tiny_model: Path, device: str) -> None:
    with pytest.raises(ConfigError, match=f"device '{device}' cannot be used"):
        vocoder.load(tiny_model, device=device)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hop_length": 512}, "hop_length 512 in its mel"),
        ({"n_mels": 100}, "does not take its mel"),
    ],
)
def test_config_that_contradicts_itself_is_refused(
    tiny_model: Path, changes: dict[str, Any], words: str
) -> None:
    path = tiny_model / "config.json"
    config = json.loads(path.read_text())
    config["mel"] |= changes
    path.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=f"{tiny_model}.*{words}"):
        vocoder.load(tiny_model)


def test_weights_that_are_not_finite_are_refused(tiny_model: Path) -> None:
    path = tiny_model / "model.safetensors"
    weights = load_file(path)
    weights["conv_post.bias"][:] = math.nan
    save_file(weights, path)
    with pytest.raises(CheckpointError, match="model.safetensors: NaN or infinite values in"):
        vocoder.load(tiny_model)


def test_f0_replaces_the_estimate_of_a_source_filter_model(clips: list[Path]) -> None:
    """The model's own estimate as F0 changes nothing, another F0 does; as arrays and in batches."""
    v = vocoder.load()
    audio, rate = read_audio(clips[0])
    mel = v.mel(audio[:, :rate], sample_rate=rate)
    f0 = v.generator.estimate(mel[None])[0]
    as_estimated = v(mel, f0=f0)
    np.testing.assert_array_equal(v(mel.numpy(), f0=f0.numpy()), as_estimated.numpy())
    higher = v(torch.stack([mel, mel]), f0=torch.stack([f0, 1.06 * f0]))
    torch.testing.assert_close(higher[0], as_estimated, atol=1e-4, rtol=0.0)
    assert (higher[1] - higher[0]).abs().max() > 0.01


def test_f0_that_does_not_fit_is_refused(tiny: Vocoder) -> None:
    with pytest.raises(ConfigError, match="takes no f0"):
        tiny(noise(80, 10), f0=torch.full((10,), 100.0))
    with pytest.raises(ConfigError, match="the mel has 10 frames"):
        vocoder.load()(noise(80, 10), f0=torch.full((9,), 100.0))
