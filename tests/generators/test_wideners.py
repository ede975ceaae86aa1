"""Laws that every generator obeys that extends the band of a recording.

A new one joins by a line in `WIDENERS`: a narrow network of its kind.
"""

import inspect
import itertools
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from vocoder.errors import ConfigError
from vocoder.features.mel import MelSpec
from vocoder.generators.ap_bwe import APBWE
from vocoder.generators.band_filler import BandFiller
from vocoder.generators.base import Widener
from vocoder.generators.bigvgan import BigVGAN
from vocoder.generators.dsp_informed import DSPInformed
from vocoder.generators.eben import EBEN
from vocoder.generators.hifi_sr import HiFiSR
from vocoder.generators.hifigan_bwe import HiFiGANBWE
from vocoder.generators.musichifi import MusicHiFiBWE
from vocoder.nn.weight_norm import fold_weight_norm
from vocoder.streaming.plan import Plan


def musichifi() -> MusicHiFiBWE:
    mel = MelSpec(sample_rate=16000, n_fft=64, hop_length=16, win_length=64, n_mels=6)
    vocoder = BigVGAN(
        n_mels=mel.n_mels,
        hop_length=mel.hop_length,
        upsample_rates=[4, 4],
        upsample_kernel_sizes=[8, 8],
        channels=8,
        resblock_kernel_sizes=[3],
        resblock_dilations=[[1, 3]],
    )
    return MusicHiFiBWE(mel=mel, vocoder=vocoder, kept=3600.0, edges=[4000.0, 4000.0])


WIDENERS: dict[str, Callable[[], Widener]] = {
    "ap_bwe": partial(
        APBWE,
        channels=8,
        hidden=12,
        blocks=2,
        n_fft=64,
        hop_length=8,
        win_length=32,
        edges=[4000.0, 4000.0],
    ),
    "band_filler": partial(
        BandFiller, channels=8, hidden=12, blocks=1, n_fft=64, hop_length=16, edges=[2000.0, 2000.0]
    ),
    "eben": partial(EBEN, edges=[400.0, 2000.0], channels=4),
    "eben_p2": partial(EBEN, edges=[400.0, 2000.0], channels=4, lowest=2, strides=[2, 3]),
    "dsp_informed": partial(
        DSPInformed,
        sample_rate=16000,
        n_fft=64,
        hop_length=16,
        n_mels=6,
        channels=16,
        upsample_rates=[4, 2, 2],
        context_channels=8,
        hidden=12,
        blocks=1,
        edges=[2000.0, 2000.0],
    ),
    "hifi_sr": partial(
        HiFiSR,
        mel=MelSpec(sample_rate=16000, n_fft=64, hop_length=16, win_length=64, n_mels=6),
        hidden=16,
        blocks=1,
        channels=8,
        upsample_rates=[4, 4],
        upsample_kernel_sizes=[8, 8],
        resblock_kernel_sizes=[3],
        resblock_dilations=[[1, 3]],
        edges=[2000.0, 4000.0],
    ),
    "hifigan_bwe": partial(HiFiGANBWE, layers=6, stacks=2, channels=8, edges=[4000.0, 12000.0]),
    "musichifi": musichifi,
}
# Networks that look at the whole recording, by the module that does.
WHOLE: dict[str, str] = {"hifi_sr": "JointAttention"}

# Published, though nobody takes what the last layer of HiFi-GAN BWE hands onward.
IDLE = "layers.5.out."


@pytest.fixture(params=WIDENERS)
def widener(request: pytest.FixtureRequest, one_thread: None) -> Widener:
    torch.manual_seed(0)
    return WIDENERS[request.param]().eval()


def recording(widener: Widener, hops: int, *, batch: int = 1) -> Tensor:
    return 0.1 * torch.randn(batch, 1, hops * widener.hop_length)


def deviation(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def enough(widener: Widener) -> int:
    """Hops of a tenth of a second or so."""
    return -(-2000 // widener.hop_length)


@pytest.mark.parametrize("more", [0, 1, 7])
def test_length_law(widener: Widener, more: int) -> None:
    hops = enough(widener) + more
    audio = widener(recording(widener, hops, batch=2))
    assert audio.shape == (2, 1, hops * widener.hop_length)
    assert widener.samples(hops) == hops * widener.hop_length


def test_one_hop_is_enough(widener: Widener) -> None:
    assert widener(recording(widener, 1)).shape == (1, 1, widener.hop_length)


def test_it_takes_the_narrowband_alone(widener: Widener) -> None:
    assert tuple(inspect.signature(widener.forward).parameters) == ("narrowband",)
    assert widener.features == ("narrowband",)
    assert 0.0 < widener.edges[0] <= widener.edges[1]


def test_items_of_a_batch_are_independent(widener: Widener) -> None:
    batch = recording(widener, enough(widener), batch=3)
    together = widener(batch)
    for item in range(3):
        assert deviation(widener(batch[item : item + 1])[0], together[item]) < 1e-4


def test_the_same_input_gives_the_same_audio(widener: Widener) -> None:
    given = recording(widener, enough(widener))
    assert torch.equal(widener(given), widener(given))


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_silence_and_noise_are_finite(widener: Widener, level: float) -> None:
    given = level * recording(widener, enough(widener)).sign()
    audio = widener(given.requires_grad_())
    audio.square().mean().backward()
    assert torch.isfinite(audio).all()
    gradients = [weight.grad for weight in widener.parameters() if weight.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_every_parameter_learns(widener: Widener) -> None:
    widener.train()
    given = recording(widener, enough(widener), batch=2)
    (widener(given) - torch.randn_like(given)).square().mean().backward()
    learned = {n: p.grad for n, p in widener.named_parameters() if p.grad is not None}
    expected = [n for n, _ in widener.named_parameters() if not n.startswith(IDLE)]
    assert [n for n in expected if not learned[n].abs().sum() > 0] == []


def test_folding_changes_no_sample(widener: Widener) -> None:
    given = recording(widener, enough(widener))
    before = widener(given)
    fold_weight_norm(widener)
    assert not [name for name in widener.state_dict() if "parametrizations" in name]
    assert (widener(given) - before).abs().max() <= 1e-5


def test_symbolic_trace_computes_the_same(widener: Widener) -> None:
    traced = torch.fx.symbolic_trace(widener)
    for more in (0, 3):
        given = recording(widener, enough(widener) + more)
        assert torch.equal(traced(given), widener(given))


@pytest.mark.usefixtures("plain_kernels")
def test_stream_equals_one_call(widener: Widener, request: pytest.FixtureRequest) -> None:
    hop = widener.hop_length
    widener.freeze()
    examples = recording(widener, 3, batch=2), recording(widener, 4, batch=1)
    kind = request.node.callspec.params["widener"]
    with torch.inference_mode():
        if kind in WHOLE:
            with pytest.raises(ConfigError, match=WHOLE[kind]):
                Plan(widener, *({"narrowband": example} for example in examples))
            return
        plan = Plan(widener, *({"narrowband": example} for example in examples))
        given = recording(widener, 2 * enough(widener))
        states, made, begin = plan.begin(), [], 0
        for size in itertools.cycle((1, hop, 3 * hop + 1, 2 * hop)):
            piece = given[..., begin : begin + size]
            begin += size
            last = begin >= given.shape[-1]
            chunk, states = plan.step(states, [piece], last=last)
            made += [] if chunk is None else [chunk]
            if last:
                break
        assert deviation(torch.cat(made, dim=-1), widener(given)) < 1e-5


def test_edges_must_rise() -> None:
    with pytest.raises(ConfigError, match="edges"):
        Widener(hop_length=1, edges=[8000.0, 4000.0])
