"""Properties of every generator that extends the band of a recording.

A new one is added by a line in `EXTENDERS`: a small network of its kind.
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
from vocoder.generators.bandwidth_extension.ap_bwe import APBWE
from vocoder.generators.bandwidth_extension.band_filler import BandFiller
from vocoder.generators.bandwidth_extension.dsp_informed import DSPInformed
from vocoder.generators.bandwidth_extension.eben import EBEN
from vocoder.generators.bandwidth_extension.hifi_sr import HiFiSR
from vocoder.generators.bandwidth_extension.hifigan_bwe import HiFiGANBWE
from vocoder.generators.bandwidth_extension.musichifi import MusicHiFiBWE
from vocoder.generators.base import BandwidthExtender
from vocoder.generators.bigvgan import BigVGAN
from vocoder.kernels.switch import reference_only
from vocoder.nn.weight_norm import fold_weight_norm
from vocoder.streaming.plan import Plan
from vocoder.streaming.tracing import symbolic_trace


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
    return MusicHiFiBWE(
        mel=mel, vocoder=vocoder, preserve_below=3600.0, cutoff_range=[4000.0, 4000.0]
    )


EXTENDERS: dict[str, Callable[[], BandwidthExtender]] = {
    "ap_bwe": partial(
        APBWE,
        channels=8,
        hidden=12,
        blocks=2,
        n_fft=64,
        hop_length=8,
        win_length=32,
        cutoff_range=[4000.0, 4000.0],
    ),
    "band_filler": partial(
        BandFiller,
        channels=8,
        hidden=12,
        blocks=1,
        n_fft=64,
        hop_length=16,
        cutoff_range=[2000.0, 2000.0],
    ),
    "eben": partial(EBEN, cutoff_range=[400.0, 2000.0], channels=4),
    "eben_p2": partial(EBEN, cutoff_range=[400.0, 2000.0], channels=4, lowest=2, strides=[2, 3]),
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
        cutoff_range=[2000.0, 2000.0],
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
        cutoff_range=[2000.0, 4000.0],
    ),
    "hifigan_bwe": partial(
        HiFiGANBWE, layers=6, stacks=2, channels=8, cutoff_range=[4000.0, 12000.0], resampling={}
    ),
    "musichifi": musichifi,
}
# Networks that depend on the whole recording, by the module that does.
WHOLE: dict[str, str] = {"hifi_sr": "JointAttention"}

# Part of the published network, though the residual output of its last layer is not used.
IDLE = "layers.5.out."


@pytest.fixture(params=EXTENDERS)
def extender(request: pytest.FixtureRequest, one_thread: None) -> BandwidthExtender:
    torch.manual_seed(0)
    return EXTENDERS[request.param]().eval()


def recording(extender: BandwidthExtender, hops: int, *, batch: int = 1) -> Tensor:
    return 0.1 * torch.randn(batch, 1, hops * extender.hop_length)


def deviation(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def enough(extender: BandwidthExtender) -> int:
    """Hops of a tenth of a second or so."""
    return -(-2000 // extender.hop_length)


@pytest.mark.parametrize("more", [0, 1, 7])
def test_length_law(extender: BandwidthExtender, more: int) -> None:
    hops = enough(extender) + more
    audio = extender(recording(extender, hops, batch=2))
    assert audio.shape == (2, 1, hops * extender.hop_length)
    assert extender.samples(hops) == hops * extender.hop_length


def test_one_hop_is_enough(extender: BandwidthExtender) -> None:
    assert extender(recording(extender, 1)).shape == (1, 1, extender.hop_length)


def test_it_takes_the_narrowband_alone(extender: BandwidthExtender) -> None:
    assert tuple(inspect.signature(extender.forward).parameters) == ("narrowband",)
    assert extender.features == ("narrowband",)
    assert 0.0 < extender.cutoff_range[0] <= extender.cutoff_range[1]


def test_items_of_a_batch_are_independent(extender: BandwidthExtender) -> None:
    batch = recording(extender, enough(extender), batch=3)
    together = extender(batch)
    for item in range(3):
        assert deviation(extender(batch[item : item + 1])[0], together[item]) < 1e-4


def test_the_same_input_gives_the_same_audio(extender: BandwidthExtender) -> None:
    given = recording(extender, enough(extender))
    assert torch.equal(extender(given), extender(given))


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_silence_and_noise_are_finite(extender: BandwidthExtender, level: float) -> None:
    given = level * recording(extender, enough(extender)).sign()
    audio = extender(given.requires_grad_())
    audio.square().mean().backward()
    assert torch.isfinite(audio).all()
    gradients = [weight.grad for weight in extender.parameters() if weight.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_every_parameter_learns(extender: BandwidthExtender) -> None:
    extender.train()
    given = recording(extender, enough(extender), batch=2)
    (extender(given) - torch.randn_like(given)).square().mean().backward()
    learned = {n: p.grad for n, p in extender.named_parameters() if p.grad is not None}
    expected = [n for n, _ in extender.named_parameters() if not n.startswith(IDLE)]
    assert [n for n in expected if not learned[n].abs().sum() > 0] == []


def test_freezing_leaves_the_weights_that_others_hold(extender: BandwidthExtender) -> None:
    """A model keeps them, to be saved later."""
    held = extender.state_dict()
    before = {name: value.clone() for name, value in held.items()}
    extender.freeze()
    assert all(torch.equal(held[name], value) for name, value in before.items())


def test_folding_changes_no_sample(extender: BandwidthExtender) -> None:
    given = recording(extender, enough(extender))
    before = extender(given)
    fold_weight_norm(extender)
    assert not [name for name in extender.state_dict() if "parametrizations" in name]
    assert (extender(given) - before).abs().max() <= 1e-5


def test_symbolic_trace_computes_the_same(extender: BandwidthExtender) -> None:
    traced = symbolic_trace(extender)
    for more in (0, 3):
        given = recording(extender, enough(extender) + more)
        with reference_only():  # which is what is traced
            assert torch.equal(traced(given), extender(given))


@pytest.mark.usefixtures("plain_kernels")
def test_stream_equals_one_call(
    extender: BandwidthExtender, request: pytest.FixtureRequest
) -> None:
    hop = extender.hop_length
    extender.freeze()
    examples = recording(extender, 3, batch=2), recording(extender, 4, batch=1)
    kind = request.node.callspec.params["extender"]
    with torch.inference_mode():
        if kind in WHOLE:
            with pytest.raises(ConfigError, match=WHOLE[kind]):
                Plan(extender, *({"narrowband": example} for example in examples))
            return
        plan = Plan(extender, *({"narrowband": example} for example in examples))
        given = recording(extender, 2 * enough(extender))
        states, made, begin = plan.begin(), [], 0
        for size in itertools.cycle((1, hop, 3 * hop + 1, 2 * hop)):
            piece = given[..., begin : begin + size]
            begin += size
            last = begin >= given.shape[-1]
            chunk, states = plan.step(states, [piece], last=last)
            made += [] if chunk is None else [chunk]
            if last:
                break
        assert deviation(torch.cat(made, dim=-1), extender(given)) < 1e-5


def test_cutoff_range_must_be_in_order() -> None:
    with pytest.raises(ConfigError, match="cutoff_range"):
        BandwidthExtender(hop_length=1, cutoff_range=[8000.0, 4000.0])
