"""A resampling stream equals one call, in any pieces, with bounded memory and delay."""

import pytest
import torch

from vocoder.dsp.resample import resample
from vocoder.inference.streams.polyphase import PolyphaseStream

RATES = [(8000, 48000), (48000, 8000), (44100, 48000), (48000, 44100), (22050, 16000), (5, 5)]


@pytest.mark.parametrize(("orig_rate", "new_rate"), RATES)
@pytest.mark.parametrize("quality", [{}, {"zeros": 16, "rolloff": 0.945, "beta": 14.77}])
@pytest.mark.parametrize("samples", [1, 5, 4321])
def test_stream_equals_one_call(
    orig_rate: int, new_rate: int, quality: dict[str, float], samples: int
) -> None:
    audio = torch.randn(2, samples)
    stream, made = PolyphaseStream(orig_rate, new_rate, **quality), []
    for piece in audio.split([1, 0, *[700] * 6, 120] if samples > 5 else [samples], dim=-1):
        made.append(stream.push(piece))
    made.append(stream.push(audio[:, :0], last=True))
    whole = resample(audio, orig_rate, new_rate, **quality)
    assert torch.cat(made, dim=-1).shape == (2, round(samples * new_rate / orig_rate))
    assert torch.allclose(torch.cat(made, dim=-1), whole, atol=1e-6)


def test_memory_and_delay_do_not_grow() -> None:
    stream, made = PolyphaseStream(8000, 48000), 0
    for _ in range(100):
        made += stream.push(torch.randn(1, 800)).shape[-1]
        assert stream._kept is not None and stream._kept.shape[-1] < 200
    assert 100 * 4800 - made < 0.01 * 48000
    stream.reset()
    assert stream.push(torch.zeros(1, 0), last=True).shape == (1, 0)
