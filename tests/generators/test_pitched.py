"""Properties of the generators with a source driven by F0: HiFTNet and NSF-HiFiGAN.

They have those of every generator but one: the source's phase accumulates, so a shift by a frame is
not a shift by a hop.
"""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from vocoder.features.f0 import F0
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.generators.pitched.base import PitchedGenerator
from vocoder.generators.pitched.hiftnet import HiFTNet
from vocoder.generators.pitched.jdc import JDC
from vocoder.generators.pitched.nsf import NSFHiFiGAN
from vocoder.io.audio import read_audio, resample_soxr
from vocoder.nn.pitch import MelPitch
from vocoder.nn.weight_norm import fold_weight_norm
from vocoder.streaming.tracing import symbolic_trace

SPEC = MelSpec(sample_rate=8000, n_fft=256, hop_length=64, win_length=256, n_mels=32)
SIZES = {
    "mel": SPEC,
    "channels": 8,
    "resblock_kernel_sizes": [3, 5],
    "resblock_dilations": [[1, 3], [1, 2]],
}


def mel_pitch() -> MelPitch:
    return MelPitch(SPEC, channels=8, blocks=1)


def hiftnet(pitch: Callable[[], MelPitch | JDC]) -> HiFTNet:
    return HiFTNet(pitch=pitch(), upsample_rates=[4, 4], upsample_kernel_sizes=[8, 8], **SIZES)


def nsf(rates: list[int], kernels: list[int]) -> NSFHiFiGAN:
    return NSFHiFiGAN(
        pitch=mel_pitch(),
        upsample_rates=rates,
        upsample_kernel_sizes=kernels,
        resblock="1",
        **SIZES,
    )


GENERATORS: dict[str, Callable[[], PitchedGenerator]] = {
    "hiftnet": partial(hiftnet, mel_pitch),
    "hiftnet-jdc": partial(hiftnet, partial(JDC, SPEC.n_mels, channels=4)),
    "nsf": partial(nsf, [8, 4, 2], [16, 8, 4]),
    "nsf-steep": partial(nsf, [64, 1], [128, 3]),
}


@pytest.fixture(params=GENERATORS)
def generator(request: pytest.FixtureRequest) -> PitchedGenerator:
    torch.manual_seed(0)
    return GENERATORS[request.param]().eval()


@pytest.fixture(scope="module")
def speech() -> Tensor:
    clips = Path(__file__).parents[2] / "egs" / "clips"
    audio, rate = read_audio(clips / "lj" / "LJ001-0013.flac")
    return resample_soxr(audio, rate, SPEC.sample_rate)[None, :, : 64 * 100]


def mel_of(frames: int, *, batch: int = 1) -> Tensor:
    return torch.randn(batch, SPEC.n_mels, frames) - 3.0


def f0_of(frames: int, *, batch: int = 1) -> Tensor:
    """Voiced between 60 and 400 Hz for the most part, unvoiced (0) else."""
    hz = 60.0 + 340.0 * torch.rand(batch, frames)
    return torch.where(torch.rand(batch, frames) < 0.8, hz, 0.0)


def deviation(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


@pytest.mark.parametrize("frames", [1, 2, 7, 31])
def test_length_law_with_and_without_f0(generator: PitchedGenerator, frames: int) -> None:
    mel = mel_of(frames, batch=2)
    for f0 in (None, f0_of(frames, batch=2)):
        audio = generator(mel=mel, f0=f0)
        assert audio.shape == (2, 1, generator.samples(frames)) == (2, 1, 64 * frames)


def test_features_are_the_arguments_of_forward(generator: PitchedGenerator) -> None:
    assert generator.features == tuple(inspect.signature(generator.forward).parameters)


def test_items_of_a_batch_are_independent(generator: PitchedGenerator) -> None:
    mel, f0 = mel_of(9, batch=3), f0_of(9, batch=3)
    together = generator(mel, f0)
    for item in range(3):
        assert deviation(generator(mel[[item]], f0[[item]])[0], together[item]) < 1e-5


def test_its_own_estimate_is_what_it_uses(generator: PitchedGenerator) -> None:
    mel = mel_of(20)
    assert torch.equal(generator(mel), generator(mel, generator.estimate(mel)))
    assert deviation(generator(mel, f0_of(20)), generator(mel)) > 1e-3


def test_evaluation_is_deterministic_and_training_draws_noise(generator: PitchedGenerator) -> None:
    mel, f0 = mel_of(8), f0_of(8)
    assert torch.equal(generator(mel, f0), generator(mel, f0))
    generator.train()
    assert not torch.equal(generator(mel, f0), generator(mel, f0))


def test_every_parameter_learns(generator: PitchedGenerator, speech: Tensor) -> None:
    generator.train()
    mel = MelSpectrogram(SPEC)(speech)
    f0 = F0(SPEC)(speech)
    assert 0 < (f0 > 0).sum() < f0.numel()
    loss = generator(mel, f0).square().mean()
    own = {name for name, _ in generator.named_parameters() if name.startswith("pitch.")}
    loss.backward()
    assert {name for name, p in generator.named_parameters() if p.grad is None} == own
    auxiliary = generator.auxiliary(speech, mel=mel, f0=f0)
    assert set(auxiliary) == {"pitch", "voicing"}
    sum(auxiliary.values()).backward()
    assert all(p.grad.isfinite().all() for p in generator.parameters())
    idle = [name for name, p in generator.named_parameters() if not p.grad.abs().sum() > 0]
    # MelPitch's last layer is initialised to zero: layers before it get no gradient at first.
    assert all(name.startswith("pitch.backbone.") for name in idle)


def test_the_estimator_learns_from_its_losses(generator: PitchedGenerator, speech: Tensor) -> None:
    """The losses are the same whether F0 is given as a feature or tracked on the recording."""
    mel, f0 = MelSpectrogram(SPEC)(speech), F0(SPEC)(speech)
    optimizer = torch.optim.Adam(generator.pitch.parameters(), lr=1e-3)
    totals: list[Tensor] = []
    for _ in range(4):
        terms = generator.auxiliary(speech, mel=mel)
        assert terms == generator.auxiliary(speech, mel=mel, f0=f0)
        totals.append(sum(terms.values()))
        optimizer.zero_grad()
        totals[-1].backward()
        optimizer.step()
    assert totals[-1] < totals[0]


@pytest.mark.parametrize("level", [-16.0, 5.0])
def test_silence_and_noise_are_finite(generator: PitchedGenerator, level: float) -> None:
    audio = generator(torch.full((1, SPEC.n_mels, 12), level), torch.zeros(1, 12))
    audio.square().mean().backward()
    assert torch.isfinite(audio).all()
    grads = [p.grad for name, p in generator.named_parameters() if not name.startswith("pitch.")]
    assert all(torch.isfinite(grad).all() for grad in grads)


def test_auxiliary_losses_of_silence_are_finite(generator: PitchedGenerator) -> None:
    silence = torch.zeros(1, 1, 64 * 20)
    terms = generator.auxiliary(silence, mel=MelSpectrogram(SPEC)(silence))
    sum(terms.values()).backward()
    assert all(p.grad.isfinite().all() for p in generator.pitch.parameters())


def test_freezing_leaves_the_weights_that_others_hold(generator: PitchedGenerator) -> None:
    """A model keeps them, to be saved later."""
    held = generator.state_dict()
    before = {name: value.clone() for name, value in held.items()}
    generator.freeze()
    assert all(torch.equal(held[name], value) for name, value in before.items())


def test_folding_changes_no_sample(generator: PitchedGenerator) -> None:
    mel = mel_of(11)
    before = generator(mel)
    assert fold_weight_norm(generator)
    assert not [name for name in generator.state_dict() if "parametrizations" in name]
    assert (generator(mel) - before).abs().max() <= 1e-6


def test_symbolic_trace_computes_the_same(generator: PitchedGenerator) -> None:
    given, own = (symbolic_trace(generator, c) for c in (None, {"f0": None}))
    for frames in (5, 12):
        mel, f0 = mel_of(frames), f0_of(frames)
        assert torch.equal(given(mel, f0), generator(mel, f0))
        assert torch.equal(own(mel, None), generator(mel))


# torch's recurrent nets fix the number of frames: for JDC, F0 has to be given.
@pytest.mark.slow
@pytest.mark.parametrize(("key", "names"), [("hiftnet-jdc", ("mel", "f0")), ("nsf", ("mel",))])
def test_export_takes_any_number_of_frames(key: str, names: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    generator = GENERATORS[key]().eval()
    fold_weight_norm(generator)
    frames = torch.export.Dim("frames", min=2, max=4096)
    shapes = {"mel": {2: frames}, "f0": {1: frames}}

    def inputs(count: int) -> dict[str, Tensor]:
        made = {"mel": mel_of(count), "f0": f0_of(count)}
        return {name: made[name] for name in names}

    program = torch.export.export(
        generator, (), inputs(8), dynamic_shapes={name: shapes[name] for name in names}
    ).module()
    for count in (3, 40):
        given = inputs(count)
        assert deviation(program(**given), generator(**given)) < 1e-6
