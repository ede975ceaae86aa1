"""Gradients through vocoders: right where they are asked for, never lost in silence."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import vocoder
from tests.inference.models import VOCODERS, load, recording
from vocoder.errors import ConfigError, MelMismatchError
from vocoder.features.mel import MelSpec
from vocoder.inference.vocoder import Vocoder


@pytest.fixture
def tiny_vocoder(tiny_model: Path) -> Vocoder:
    return vocoder.load(tiny_model)


def inputs(name: str) -> tuple[Vocoder, Tensor, Tensor | None]:
    model = load(name)
    assert isinstance(model, Vocoder)
    mel = model.mel(recording(), sample_rate=16000)
    return model, mel, torch.full_like(mel[0], 120.0) if "f0" in model.generator.features else None


@pytest.mark.parametrize("name", [pytest.param("default", marks=pytest.mark.slow), *VOCODERS])
def test_a_differentiable_call_gives_the_audio_of_a_call_and_its_gradient(name: str) -> None:
    model, mel, f0 = inputs(name)
    audio = model.differentiable(mel.requires_grad_(), f0=f0)
    torch.testing.assert_close(audio.detach(), model(mel.detach(), f0=f0), atol=1e-5, rtol=1e-4)

    weights = torch.randn(audio.shape, generator=torch.Generator().manual_seed(1))
    (audio * weights).sum().backward()
    assert mel.grad is not None
    assert all(each.grad is None for each in model.generator.parameters())
    steepest = mel.grad / mel.grad.norm()
    ends = [model(mel.detach() + step * steepest, f0=f0) for step in (1e-2, -1e-2)]
    measured = ((ends[0] - ends[1]).double() * weights).sum() / 2e-2
    torch.testing.assert_close(mel.grad.norm().double(), measured, rtol=0.02, atol=0.0)


def test_batches_layouts_other_settings_and_f0_have_gradients(tiny_vocoder: Vocoder) -> None:
    mel = torch.randn(2, 80, 6) - 5.0
    batch = mel.clone().requires_grad_()
    tiny_vocoder.differentiable(batch).sum().backward()
    turned = mel[0].T.clone().requires_grad_()
    audio = tiny_vocoder.differentiable(turned)
    audio.sum().backward()
    assert audio.shape == (6 * 256,)
    assert batch.grad is not None and turned.grad is not None
    torch.testing.assert_close(turned.grad.T, batch.grad[0])
    spec = MelSpec.preset("hifigan_22k_80")
    other = MelSpec.from_dict({**spec.to_dict(), "log": "log10"})
    decades = (mel[0] / np.log(10.0)).requires_grad_()
    tiny_vocoder.differentiable(decades, spec=other).sum().backward()
    assert decades.grad is not None
    torch.testing.assert_close(decades.grad, batch.grad[0] * np.log(10.0), rtol=1e-3, atol=1e-6)

    pitched, mel, f0 = inputs("default")
    assert f0 is not None
    pitched.differentiable(mel, f0=f0.requires_grad_()).square().sum().backward()
    assert f0.grad is not None and f0.grad.abs().max() > 0.0


def test_what_has_no_gradient_says_so(tiny_vocoder: Vocoder) -> None:
    with pytest.raises(ConfigError, match="griffin-lim searches for a phase"):
        vocoder.load("griffin-lim").differentiable(torch.zeros(80, 5))
    with pytest.raises(MelMismatchError, match="is a ndarray; gradients need a tensor"):
        tiny_vocoder.differentiable(np.zeros((80, 5), np.float32))  # type: ignore[arg-type]
    with pytest.raises(MelMismatchError, match="NaN or infinite"):
        tiny_vocoder.differentiable(torch.full((80, 5), torch.nan))


def test_a_call_or_stream_that_drops_gradients_warns_once(
    tiny_vocoder: Vocoder, caplog: pytest.LogCaptureFixture
) -> None:
    mel = (torch.randn(80, 6) - 5.0).requires_grad_()
    audio = torch.zeros(800, requires_grad=True)
    live, extender = tiny_vocoder.stream(), vocoder.load_extender()

    def warnings(run: object) -> list[str]:
        assert callable(run)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            run()
        return [each.message for each in caplog.records if "requires gradients" in each.message]

    (called,) = warnings(lambda: tiny_vocoder(mel))
    assert called == (
        "the mel requires gradients, but none pass through this call; Vocoder.differentiable "
        "passes them"
    )
    assert len(warnings(lambda: [live.push(mel), live.push(mel), live.flush()])) == 1
    assert len(warnings(lambda: tiny_vocoder.mel(audio, sample_rate=8000))) == 1
    assert len(warnings(lambda: extender(audio, sample_rate=8000))) == 1
    with torch.no_grad():
        assert not warnings(lambda: tiny_vocoder(mel))
    assert not warnings(lambda: tiny_vocoder(mel.detach()))
    assert not warnings(lambda: tiny_vocoder.differentiable(mel))
