"""Properties of every generator, and of single families.

A new generator is added by a line in `GENERATORS`: a small network of its kind.
"""

import functools
import inspect
import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from torch import Tensor, nn

from vocoder.errors import ConfigError
from vocoder.generators.base import Generator
from vocoder.generators.bigvgan import BigVGAN
from vocoder.generators.evagan import EVAGAN
from vocoder.generators.fagan import FAGAN
from vocoder.generators.hifigan import HiFiGAN
from vocoder.generators.istftnet import ISTFTNet
from vocoder.generators.melgan import MelGAN, MultiBandMelGAN
from vocoder.generators.parallel_wavegan import ParallelWaveGAN
from vocoder.generators.vocos import Vocos
from vocoder.kernels.switch import reference_only
from vocoder.nn.weight_norm import fold_weight_norm
from vocoder.streaming.plan import Plan
from vocoder.streaming.tracing import symbolic_trace

MELS = 10
LOUD, SILENT = 5.0, math.log(1e-7)

sizes: dict[str, Any] = {
    "n_mels": MELS,
    "hop_length": 8,
    "upsample_rates": [4, 2],
    "upsample_kernel_sizes": [8, 4],
    "channels": 8,
    "resblock": "1",
    "resblock_kernel_sizes": [3, 5],
    "resblock_dilations": [[1, 3], [1, 2]],
}
hifigan = partial(HiFiGAN, **sizes)
vocos = partial(
    Vocos, n_mels=MELS, channels=16, hidden=24, blocks=2, n_fft=32, hop_length=8, padding="center"
)
bigvgan = partial(BigVGAN, **sizes)
istftnet = partial(ISTFTNet, **(sizes | {"hop_length": 32}))
melgan = partial(MelGAN, n_mels=MELS, hop_length=8, upsample_rates=[4, 2], channels=8, stacks=2)
parallel_wavegan = partial(
    ParallelWaveGAN,
    n_mels=MELS,
    hop_length=8,
    upsample_rates=[4, 2],
    layers=4,
    stacks=2,
    channels=6,
    gate_channels=8,
    skip_channels=5,
)
odd = {"hop_length": 15, "upsample_rates": [5, 3], "upsample_kernel_sizes": [10, 4]}
evagan = partial(EVAGAN, **sizes, context_channels=16, hidden=24, blocks=2, kernel_size=5)
GENERATORS: dict[str, Callable[[], Generator]] = {
    "hifigan": hifigan,
    "hifigan-light": partial(hifigan, resblock="2"),
    "hifigan-odd": partial(hifigan, **odd),
    "hifigan-causal": partial(hifigan, causal=True),
    "hifigan-causal-odd": partial(hifigan, **odd, causal=True),
    "bigvgan": bigvgan,
    "bigvgan-v2": partial(bigvgan, final_bias=False, final_tanh=False),
    "bigvgan-light-linear": partial(bigvgan, resblock="2", activation="snake", log_scale=False),
    "bigvgan-causal": partial(bigvgan, causal=True),
    "istftnet": istftnet,
    "istftnet-light-odd": partial(
        istftnet, **odd | {"hop_length": 45}, resblock="2", istft_n_fft=12, istft_hop_length=3
    ),
    "vocos-causal": partial(vocos, padding="same", causal=True),
    "vocos-center": vocos,
    "vocos-same": partial(vocos, padding="same"),
    "vocos-odd": partial(vocos, padding="same", hop_length=15, n_fft=40),
    "melgan": melgan,
    "melgan-odd": partial(melgan, hop_length=15, upsample_rates=[5, 3]),
    "mb-melgan": partial(
        MultiBandMelGAN, n_mels=MELS, hop_length=16, upsample_rates=[2, 2], channels=8, stacks=2
    ),
    "pwg": parallel_wavegan,
    "pwg-odd": partial(parallel_wavegan, hop_length=15, upsample_rates=[5, 3], context=0),
    "fagan": partial(FAGAN, **sizes, anti_aliased=2),
    "fagan-odd": partial(FAGAN, **(sizes | odd)),
    "evagan": evagan,
    "evagan-odd": partial(evagan, **odd),
}
# Part of the published network, though the residual output of its last layer is not used.
IDLE = "layers.3.out."


@pytest.fixture(params=GENERATORS)
def generator(request: pytest.FixtureRequest) -> Generator:
    torch.manual_seed(0)
    return GENERATORS[request.param]().eval()


def features(generator: Generator, frames: int, *, batch: int = 1) -> dict[str, Tensor]:
    made = {"mel": torch.randn(batch, MELS, frames) - 3.0}
    made["noise"] = torch.randn(batch, generator.hop_length, frames)
    return {name: made[name] for name in generator.features}


def gradients(generator: Generator) -> dict[str, Tensor]:
    parameters = generator.named_parameters()
    return {name: weight.grad for name, weight in parameters if not name.startswith(IDLE)}


def deviation(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


@pytest.mark.parametrize("frames", [1, 2, 7, 31])
def test_length_law(generator: Generator, frames: int) -> None:
    audio = generator(**features(generator, frames, batch=2))
    assert audio.shape == (2, 1, generator.samples(frames))
    assert generator.samples(frames + 1) - generator.samples(frames) == generator.hop_length


def test_features_are_the_arguments_of_forward(generator: Generator) -> None:
    assert generator.features == tuple(inspect.signature(generator.forward).parameters)
    with pytest.raises(TypeError, match="loudness"):
        generator(**features(generator, 2), loudness=torch.zeros(1, 2))


def test_items_of_a_batch_are_independent(generator: Generator) -> None:
    batch = features(generator, 9, batch=3)
    together = generator(**batch)
    for item in range(3):
        alone = generator(**{name: value[item : item + 1] for name, value in batch.items()})
        assert deviation(alone[0], together[item]) < 1e-5


def test_a_shift_by_a_frame_is_a_shift_by_a_hop(generator: Generator) -> None:
    """Away from the ends, where zeros are padded, the audio shifts with the frames."""
    given_features, hop, margin = features(generator, 100), generator.hop_length, 40
    audio = generator(**given_features)
    moved = generator(**{name: value[..., 1:] for name, value in given_features.items()})
    inner = slice(margin * hop, -margin * hop)
    assert deviation(moved[..., inner], audio[..., hop:][..., inner]) < 1e-5


@pytest.mark.parametrize("level", [SILENT, LOUD])
def test_silence_and_noise_are_finite(generator: Generator, level: float) -> None:
    inputs = features(generator, 12) | {"mel": torch.full((1, MELS, 12), level)}
    audio = generator(**inputs)
    audio.square().mean().backward()
    assert torch.isfinite(audio).all()
    assert all(torch.isfinite(gradient).all() for gradient in gradients(generator).values())


def test_every_parameter_learns(generator: Generator) -> None:
    generator(**features(generator, 12)).square().mean().backward()
    assert [name for name, g in gradients(generator).items() if not g.abs().sum() > 0] == []


def test_freezing_leaves_the_weights_that_others_hold(generator: Generator) -> None:
    """A model keeps them, to be saved later."""
    held = generator.state_dict()
    before = {name: value.clone() for name, value in held.items()}
    generator.freeze()
    assert all(torch.equal(held[name], value) for name, value in before.items())


def test_folding_changes_no_sample(generator: Generator) -> None:
    inputs = features(generator, 11)
    before = generator(**inputs)
    normalised = [name for name, _ in generator.named_parameters() if name.endswith("original0")]
    assert fold_weight_norm(generator) == [
        name.replace("parametrizations.weight.original0", "weight") for name in normalised
    ]
    assert not [name for name in generator.state_dict() if "parametrizations" in name]
    assert (generator(**inputs) - before).abs().max() <= 1e-6


@pytest.mark.parametrize("folded", [False, True])
def test_symbolic_trace_computes_the_same(generator: Generator, folded: bool) -> None:
    if folded:
        fold_weight_norm(generator)
    traced = symbolic_trace(generator)
    for frames in (5, 12):
        inputs = features(generator, frames)
        with reference_only():  # which is what is traced
            assert torch.equal(traced(**inputs), generator(**inputs))


@pytest.mark.slow  # torch.export takes a second for each
def test_export_takes_any_number_of_frames(generator: Generator) -> None:
    fold_weight_norm(generator)
    frames = torch.export.Dim("frames", min=2, max=4096)
    shapes = {name: {2: frames} for name in generator.features}
    program = torch.export.export(
        generator, (), features(generator, 8), dynamic_shapes=shapes
    ).module()
    for count in (3, 40):
        inputs = features(generator, count)
        assert deviation(program(**inputs), generator(**inputs)) < 1e-6


@functools.cache
def planned(name: str) -> tuple[Generator, Plan]:
    torch.manual_seed(0)
    generator = GENERATORS[name]().freeze()
    return generator, Plan(generator, features(generator, 3, batch=2), features(generator, 5))


@pytest.mark.parametrize("name", GENERATORS)
@settings(max_examples=6, deadline=None)
@given(frames=st.integers(1, 40), sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_stream_equals_one_call(name: str, frames: int, sizes: list[int]) -> None:
    generator, plan = planned(name)
    if generator.samples(frames) < 1:
        return
    inputs = features(generator, frames, batch=2)
    states, made, begin = plan.begin(), [], 0
    for size in itertools.cycle(sizes):
        pieces = [inputs[feature][..., begin : begin + size] for feature in plan.inputs]
        audio, states = plan.step(states, pieces)
        made.append(audio)
        begin += size
        if begin >= frames:
            break
    made.append(plan.step(states, [None] * len(pieces), last=True)[0])
    whole = torch.cat([audio for audio in made if audio is not None], dim=-1)
    assert deviation(whole, generator(**inputs)) < 1e-5


@pytest.mark.parametrize("name", [name for name in GENERATORS if "causal" in name])
def test_causal_variants_have_no_look_ahead(name: str) -> None:
    """Frame f changes no sample before its hop, and one that lies in it."""
    torch.manual_seed(0)
    generator = GENERATORS[name]().eval()
    mel, hop = features(generator, 20)["mel"], generator.hop_length
    for frame in (0, 7, 19):
        changed = mel.clone()
        changed[..., frame] += 1.0
        differs = (generator(mel=mel) != generator(mel=changed))[0, 0].nonzero()
        assert frame * hop <= int(differs[0]) < (frame + 1) * hop


def test_hifigan_is_the_published_network() -> None:
    """Written out again from the paper's tables: slopes, paddings, the mean, the key names."""
    dilations, mel = [[1, 2], [2, 6]], torch.randn(1, MELS, 6)
    generator = hifigan(resblock="2", resblock_dilations=dilations)
    fold_weight_norm(generator)
    weights = generator.state_dict()

    def conv(name: str, x: Tensor, dilation: int = 1) -> Tensor:
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        padding = dilation * (weight.shape[-1] - 1) // 2
        return F.conv1d(x, weight, bias, dilation=dilation, padding=padding)

    x = conv("conv_pre", mel)
    for stage, (rate, padding) in enumerate([(4, 2), (2, 1)]):
        weight, bias = weights[f"ups.{stage}.weight"], weights[f"ups.{stage}.bias"]
        x = F.conv_transpose1d(F.leaky_relu(x, 0.1), weight, bias, rate, padding)
        refined = [x, x]
        for block in range(2):
            for step, dilation in enumerate(dilations[block]):
                y, name = refined[block], f"resblocks.{stage}.{block}.convs.{step}"
                refined[block] = y + conv(name, F.leaky_relu(y, 0.1), dilation)
        x = (refined[0] + refined[1]) / 2
    expected = torch.tanh(conv("conv_post", F.leaky_relu(x, 0.01)))
    assert deviation(generator(mel), expected) < 1e-6


rates = st.lists(st.integers(1, 6), min_size=1, max_size=3)


@settings(max_examples=30, deadline=None)
@given(rates=rates, surplus=st.integers(0, 7), kernel=st.sampled_from([3, 5, 7]), data=st.data())
def test_hifigan_length_law_for_any_rates(
    rates: list[int], surplus: int, kernel: int, data: st.DataObject
) -> None:
    sizes = [rate + surplus + (rate == 1) * (surplus % 2) for rate in rates]
    generator = HiFiGAN(
        n_mels=2,
        hop_length=math.prod(rates),
        upsample_rates=rates,
        upsample_kernel_sizes=sizes,
        channels=2 ** len(rates),
        resblock=data.draw(st.sampled_from(["1", "2"])),
        resblock_kernel_sizes=[kernel],
        resblock_dilations=[[1, 4]],
    )
    frames = data.draw(st.integers(1, 9))
    assert generator(torch.randn(1, 2, frames)).shape == (1, 1, frames * math.prod(rates))


@settings(max_examples=30, deadline=None)
@given(
    half=st.integers(8, 40),
    hop_length=st.integers(1, 16),
    padding=st.sampled_from(["same", "center"]),
    frames=st.integers(1, 9),
)
def test_vocos_length_law_for_any_hop(
    half: int, hop_length: int, padding: str, frames: int
) -> None:
    generator = vocos(n_fft=2 * half, hop_length=hop_length, padding=padding)
    samples = hop_length * (frames - (padding == "center"))
    assert generator(torch.randn(1, MELS, frames)).shape == (1, 1, samples)


published = partial(
    HiFiGAN,
    hop_length=256,
    upsample_rates=[8, 8, 2, 2],
    upsample_kernel_sizes=[16, 16, 4, 4],
    channels=512,
    resblock="1",
    resblock_kernel_sizes=[3, 7, 11],
    resblock_dilations=[[1, 3, 5]] * 3,
)
light = {
    "upsample_rates": [8, 8, 4],
    "upsample_kernel_sizes": [16, 16, 8],
    "channels": 256,
    "resblock": "2",
    "resblock_kernel_sizes": [3, 5, 7],
    "resblock_dilations": [[1, 2], [2, 6], [3, 12]],
}
wide_vocos = {"n_mels": 100, "channels": 512, "hidden": 1536, "blocks": 8, "n_fft": 1024}


@pytest.mark.parametrize(
    ("make", "parameters"),
    [
        (published, 13_926_017),
        (partial(published, channels=128), 925_985),
        (partial(published, **light), 1_462_273),
        (partial(vocos, **wide_vocos, hop_length=256), 13_531_650),
    ],
    ids=["hifigan-v1", "hifigan-v2", "hifigan-v3", "vocos"],
)
def test_published_sizes(make: Callable[[], nn.Module], parameters: int) -> None:
    with torch.device("meta"):
        generator = make()
    fold_weight_norm(generator)
    assert sum(parameter.numel() for parameter in generator.parameters()) == parameters


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hop_length": 10}, r"\[4, 2\] upsample by 8 .* whose product is 10"),
        ({"upsample_kernel_sizes": [8]}, "one kernel size per rate"),
        ({"upsample_kernel_sizes": [3, 4]}, "kernel no shorter than the rate"),
        ({"channels": 6}, "use a multiple of 4"),
        ({"resblock": "3"}, r"resblock is '3'; choose from \['1', '2'\]"),
        ({"resblock_dilations": [[1, 3]]}, "one list of dilations per kernel size"),
        ({"resblock_kernel_sizes": [3, 4]}, "kernel size 4 has no center; use 5"),
    ],
)
def test_hifigan_names_the_fix(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        hifigan(**change)


def test_one_centered_frame_spans_no_samples() -> None:
    generator = vocos(padding="center")
    assert generator(torch.randn(2, MELS, 1)).shape == (2, 1, 0)
    assert generator.samples(1) == 0
