"""Properties of the generators based on signal processing: SourceFilter and GriffinLim."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from vocoder.dsp.pitch import track_pitch
from vocoder.errors import ConfigError
from vocoder.features.mel import PRESETS, MelSpec, MelSpectrogram
from vocoder.generators.base import Generator
from vocoder.generators.griffin_lim import GriffinLim
from vocoder.generators.pitched.consistency import MelConsistency
from vocoder.generators.pitched.source_filter import SourceFilter
from vocoder.io.audio import read_audio, resample_soxr
from vocoder.streaming.tracing import symbolic_trace

SPEC = MelSpec.preset("hifigan_22k_80")
SMALL = {"channels": 16, "hidden": 16, "blocks": 1, "pitch_channels": 8, "pitch_blocks": 1}


def source_filter(iterations: int = 4, mel: MelSpec = SPEC) -> SourceFilter:
    torch.manual_seed(0)
    return SourceFilter(mel=mel, **SMALL, iterations=iterations).eval()


@pytest.fixture(scope="module")
def speech() -> Tensor:
    clips = Path(__file__).parents[2] / "egs" / "clips"
    audio, rate = read_audio(clips / "lj" / "LJ001-0013.flac")
    audio = resample_soxr(audio, rate, SPEC.sample_rate)
    return audio[None, :, : audio.shape[-1] // 256 * 256]


def mel_error(generator: Generator, audio: Tensor, spec: MelSpec) -> float:
    transform = MelSpectrogram(spec)
    mel = transform(audio)
    with torch.inference_mode():
        return (transform(generator(mel)) - mel).abs().mean().item()


@pytest.mark.parametrize("name", sorted(PRESETS))
@pytest.mark.parametrize("frames", [2, 3, 40])
def test_griffin_lim_takes_any_mel(name: str, frames: int) -> None:
    spec = MelSpec.preset(name)
    generator = GriffinLim(mel=spec, iterations=2)
    audio = generator(torch.randn(2, spec.n_mels, frames) - 4.0)
    assert audio.shape == (2, 1, generator.samples(frames))
    assert torch.isfinite(audio).all()


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("padding", ["same", "center"])
def test_griffin_lim_approaches_the_mel(power: int, padding: str, speech: Tensor) -> None:
    spec = MelSpec.from_dict(SPEC.to_dict() | {"power": power, "padding": padding})
    errors = [mel_error(GriffinLim(mel=spec, iterations=n), speech, spec) for n in (1, 8, 32)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.2 * power


def test_griffin_lim_is_deterministic(speech: Tensor) -> None:
    mel = MelSpectrogram(SPEC)(speech)
    assert torch.equal(GriffinLim(mel=SPEC)(mel), GriffinLim(mel=SPEC)(mel))


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_length_law(frames: int) -> None:
    audio = source_filter()(torch.randn(2, 80, frames) - 5.0)
    assert audio.shape == (2, 1, frames * 256)
    assert torch.isfinite(audio).all()


def test_more_iterations_agree_better_with_the_mel(speech: Tensor) -> None:
    errors = [mel_error(source_filter(n), speech, SPEC) for n in (0, 2, 8)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.2


def test_the_untrained_network_has_the_right_pitch(speech: Tensor) -> None:
    with torch.inference_mode():
        fake = source_filter()(MelSpectrogram(SPEC)(speech))[:, 0]
    real, made = (
        track_pitch(audio, sample_rate=SPEC.sample_rate, hop_length=256)
        for audio in (speech[:, 0], fake)
    )
    both = real.voiced & made.voiced
    assert both.float().sum() > 0.7 * real.voiced.float().sum()
    cents = 1200 * torch.log2(made.f0 / real.f0)[both].abs()
    assert cents.median() < 20


def test_f0_overrides_the_pitch() -> None:
    mel = torch.full((1, 80, 60), -2.0)
    generator = source_filter(iterations=0)
    generator.pitch.out.bias.data[-1] = 10.0  # voiced throughout
    for hz in (110.0, 220.0, 330.0):
        with torch.inference_mode():
            audio = generator(mel, torch.full((1, 60), hz))[:, 0]
        found = track_pitch(audio, sample_rate=SPEC.sample_rate, hop_length=256).f0[0, 10:-10]
        assert (1200 * torch.log2(found / hz)).abs().median() < 5


def test_an_f0_of_zero_is_unvoiced() -> None:
    mel = torch.full((1, 80, 30), -2.0)
    generator = source_filter(iterations=0)
    generator.pitch.out.bias.data[-1] = 10.0  # voiced throughout
    with torch.inference_mode():
        unvoiced, voiced = (generator(mel, torch.full((1, 30), hz)) for hz in (0.0, 150.0))
    found = [
        track_pitch(audio[:, 0], sample_rate=SPEC.sample_rate, hop_length=256).voiced
        for audio in (unvoiced, voiced)
    ]
    assert found[0].float().mean() < 0.1
    assert found[1].float().mean() > 0.9


def test_silence_stays_silent() -> None:
    silence = torch.tensor(SPEC.silence)[:, None].expand(-1, 50)[None]
    with torch.inference_mode():
        audio = source_filter()(silence)
    assert 20 * torch.log10(audio.abs().max()) < -60


def test_items_of_a_batch_are_independent() -> None:
    mel = torch.randn(3, 80, 12) - 5.0
    generator = source_filter()
    with torch.inference_mode():
        together = generator(mel)
        for item in range(3):
            alone = generator(mel[item : item + 1])[0]
            assert (alone - together[item]).abs().max() < 1e-4 * together.abs().max()


def test_training_noise_is_drawn_and_inference_noise_is_not() -> None:
    mel, generator = torch.randn(1, 80, 12) - 5.0, source_filter()
    assert torch.equal(generator(mel), generator(mel))
    generator.train()
    assert not torch.equal(generator(mel), generator(mel))


def test_every_parameter_learns(speech: Tensor) -> None:
    generator = source_filter().train()
    real = speech[..., : 256 * 60]
    mel = MelSpectrogram(SPEC)(real)
    loss = generator(mel).square().mean()
    (loss + sum(generator.auxiliary(real, mel=mel).values())).backward()
    assert all(torch.isfinite(p.grad).all() for p in generator.parameters())
    # The head is initialised to zero: layers before it get no gradient at first.
    ahead = {n for n, p in generator.named_parameters() if not p.grad.abs().sum() > 0}
    assert all(name.split(".")[0] == "backbone" or "pitch.backbone" in name for name in ahead)


def test_gradient_is_finite_for_silence() -> None:
    generator = source_filter().train()
    silence = torch.zeros(1, 1, 256 * 20)
    mel = MelSpectrogram(SPEC)(silence)
    loss = generator(mel).abs().mean() + sum(generator.auxiliary(silence, mel=mel).values())
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in generator.parameters())


@pytest.mark.slow  # torch.export takes seconds
def test_symbolic_trace_and_export_compute_the_same() -> None:
    generator = source_filter(iterations=2)
    traced = symbolic_trace(generator, {"f0": None})
    frames = torch.export.Dim("frames", min=4, max=4096)
    mel = torch.randn(1, 80, 9) - 5.0
    exported = torch.export.export(generator, (mel,), dynamic_shapes={"mel": {2: frames}}).module()
    for count in (9, 23):
        mel = torch.randn(1, 80, count) - 5.0
        with torch.inference_mode():
            assert torch.equal(traced(mel, None), generator(mel))
            assert torch.allclose(exported(mel), generator(mel), atol=1e-6)


@pytest.mark.parametrize("change", [{"power": 2}, {"padding": "center"}])
def test_a_mel_it_cannot_be_consistent_with_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="magnitudes"):
        source_filter(mel=MelSpec.from_dict(SPEC.to_dict() | change))


def test_consistency_does_not_change_what_already_agrees(speech: Tensor) -> None:
    from vocoder.dsp.stft import hann_window, stft

    consistency = MelConsistency(SPEC, iterations=4)
    window = hann_window(1024, 1024)
    spectrum = stft(speech[:, 0], window, hop_length=256)
    linear = SPEC.expand(MelSpectrogram(SPEC)(speech))
    with torch.inference_mode():
        audio = consistency(spectrum, linear)
    assert (audio - speech[:, 0]).abs().max() < 0.02 * speech.abs().max()
