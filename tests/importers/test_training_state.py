"""Discriminators and optimizers of other projects: every value is imported under our name."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, spectral_norm, weight_norm

from vocoder.checkpoint import START_NAME, load_model, load_start, save_model
from vocoder.discriminators.period import MultiPeriod
from vocoder.discriminators.scale import MultiScale
from vocoder.discriminators.spectral.cqt import MultiScaleCQT
from vocoder.discriminators.spectral.resolution import MultiResolution
from vocoder.errors import CheckpointError
from vocoder.importers.common.weights import older
from vocoder.importers.importer import import_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")

Command = Callable[..., Any]
FIXTURES = Path(__file__).parent / "fixtures"
BUFFERS = (".filter", ".running_mean", ".running_var", ".num_batches_tracked")
OURS = {
    "mpd": MultiPeriod(periods=[2, 3], channels=1),
    "msd": MultiScale(scales=2, channels=16),
    "mrd": MultiResolution(resolutions=[[64, 16, 64]] * 2, channels=2),
    "cqtd": MultiScaleCQT(
        sample_rate=8000,
        hop_lengths=(16, 8),
        octaves=(5, 4),
        bins_per_octave=(12, 24),
        channels=2,
    ),
}


def legacy(conv: nn.Module, norm: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """A convolution of the same size, normalised as in 2020."""
    assert isinstance(conv, nn.Conv1d | nn.Conv2d)
    kind = nn.Conv1d if isinstance(conv, nn.Conv1d) else nn.Conv2d
    sizes = (conv.in_channels, conv.out_channels, conv.kernel_size)
    twin = kind(*sizes, groups=conv.groups)  # type: ignore[arg-type]
    return norm(twin) if parametrize.is_parametrized(conv) else twin


def ensemble(name: str) -> nn.Module:
    """The other projects' discriminators, as far as a state dict shows them."""
    discriminators = nn.ModuleList()
    for index, discriminator in enumerate(OURS[name].get_submodule("discriminators").children()):
        norm = spectral_norm if name == "msd" and index == 0 else weight_norm
        convs = discriminator.get_submodule("convs").children()
        twin = nn.Module()
        twin.convs = nn.ModuleList(legacy(conv, norm) for conv in convs)
        twin.conv_post = legacy(discriminator.get_submodule("conv_post"), norm)
        discriminators.append(twin)
    whole = nn.Module()
    whole.discriminators = discriminators
    return whole


def cqt_ensemble() -> nn.Module:
    """The CQT discriminators of BigVGAN v2, with the buffers of the transform that it uses."""
    whole = ensemble("cqtd")
    ours = OURS["cqtd"].get_submodule("discriminators").children()
    for discriminator, own in zip(
        whole.get_submodule("discriminators").children(), ours, strict=True
    ):
        octaves = own.get_submodule("conv_pres").children()
        discriminator.conv_pres = nn.ModuleList(legacy(conv, weight_norm) for conv in octaves)
        for path, name in (("cqt_transform", "lenghts"), ("resample", "kernel")):
            discriminator.add_module(path, nn.Module())
            discriminator.get_submodule(path).register_buffer(name, torch.ones(3))
    return whole


def unsupported_ensemble() -> nn.Module:
    """An ensemble of a kind that we do not have."""
    whole = ensemble("mrd")
    for discriminator in whole.get_submodule("discriminators").children():
        discriminator.band_convs = nn.ModuleList([nn.Conv2d(1, 1, 3)])
    return whole


def trained(parameters: Iterator[nn.Parameter]) -> torch.optim.Optimizer:
    """An optimizer after two steps, whose moments are all different."""
    optimizer = torch.optim.AdamW(list(parameters))
    for _ in range(2):
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.randn_like(parameter)
        optimizer.step()
    return optimizer


class Training:
    """A training run of another project, stopped and saved."""

    def __init__(
        self, second: str, folder: Path, *, generator: str = "hifigan_v3/g_00000010"
    ) -> None:
        torch.manual_seed(0)
        networks = {"mpd": ensemble("mpd"), second: ensemble(second)}
        if second == "mrd":
            networks["mrd"] = unsupported_ensemble()
        self.networks = networks
        checkpoint = FIXTURES / generator
        shutil.copytree(checkpoint.parent, folder)
        self.checkpoint = folder / checkpoint.name
        weights = torch.load(self.checkpoint, weights_only=True)["generator"]
        self.generator = {
            name: nn.Parameter(value)
            for name, value in weights.items()
            if not name.endswith(BUFFERS)
        }
        self.optim_g = trained(iter(self.generator.values()))
        chained = itertools.chain(networks[second].parameters(), networks["mpd"].parameters())
        self.optim_d = trained(chained)
        self.path = folder / "do_00000010"
        self.save()

    def save(self, **changes: Any) -> None:
        content = {name: network.state_dict() for name, network in self.networks.items()}
        content |= {"optim_g": self.optim_g.state_dict(), "optim_d": self.optim_d.state_dict()}
        torch.save(content | {"steps": 10, "epoch": 1} | changes, self.path)


def same(moment: dict[str, Tensor], expected: dict[str, Any]) -> bool:
    return moment.keys() == {"step", "exp_avg", "exp_avg_sq"} and all(
        torch.equal(moment[name], torch.as_tensor(expected[name])) for name in moment
    )


def test_every_weight_and_moment_is_imported_under_our_name(
    vocoder_command: Command, tmp_path: Path
) -> None:
    run = Training("msd", tmp_path / "run")
    model = tmp_path / "model"
    result = vocoder_command("import", run.checkpoint, "-o", model, "--discriminators", run.path)
    assert result.code == 0, result.err
    start = load_start(model)
    assert start is not None
    assert start["steps"] == 10
    assert start["discriminators"].keys() == {"mpd", "msd"}
    moments = start["optimizers"]["discriminators"]
    for name, network in run.networks.items():
        OURS[name].load_state_dict(start["discriminators"][name])
        state, parameters = network.state_dict(), dict(network.named_parameters())
        for own, value in start["discriminators"][name].items():
            assert torch.equal(value, state[older(own)])
        for own, _ in OURS[name].named_parameters():
            expected = run.optim_d.state[parameters[older(own)]]
            assert same(moments.pop(f"{name}.{own}"), expected)
    assert not moments
    generator, _ = load_model(model)
    moments = start["optimizers"]["generator"]
    assert moments.keys() == dict(generator.named_parameters()).keys()
    assert same(moments["conv_pre.bias"], run.optim_g.state[run.generator["conv_pre.bias"]])
    block = run.generator["resblocks.5.convs.1.weight_v"]
    own = "resblocks.1.2.convs.1.parametrizations.weight.original1"
    assert same(moments[own], run.optim_g.state[block])


@pytest.mark.parametrize(
    ("generator", "external", "own"),
    [
        (
            "bigvgan_v1/bigvgan_generator.pt",
            "resblocks.3.activations.4.act.beta",
            "resblocks.1.1.activations.4.act.beta",
        ),
        ("hiftnet/g_00000010", "resblocks.1.alpha2.1", "resblocks.1.0.activations.3.alpha"),
    ],
)
def test_buffers_have_no_moments(generator: str, external: str, own: str, tmp_path: Path) -> None:
    run = Training("msd", tmp_path / "run", generator=generator)
    imported = import_checkpoint(run.checkpoint, discriminators=run.path)
    assert imported.start is not None
    moments = imported.start.state["optimizers"]["generator"]
    parameters = dict(imported.generator.named_parameters())
    assert moments.keys() == parameters.keys()
    assert all(moment["exp_avg"].shape == parameters[k].shape for k, moment in moments.items())
    expected = run.optim_g.state[run.generator[external]]
    assert torch.equal(moments[own]["exp_avg"].flatten(), expected["exp_avg"].flatten())


def test_a_discriminator_that_we_do_not_have_is_left_out_and_named(
    vocoder_command: Command, tmp_path: Path
) -> None:
    run = Training("mrd", tmp_path / "run")
    model = tmp_path / "model"
    result = vocoder_command("import", run.checkpoint, "-o", model, "--discriminators", run.path)
    assert result.code == 0, result.err
    assert "left out: mrd (mbd" in result.out
    start = load_start(model)
    assert start is not None
    assert start["discriminators"].keys() == {"mpd"}
    moments = start["optimizers"]["discriminators"]
    parameters = dict(run.networks["mpd"].named_parameters())
    assert moments.keys() == {f"mpd.{own}" for own, _ in OURS["mpd"].named_parameters()}
    for own, moment in moments.items():
        expected = run.optim_d.state[parameters[older(own.removeprefix("mpd."))]]
        assert same(moment, expected), "indices count the parameters of the one left out, too"


def test_a_resolution_discriminator_is_imported(tmp_path: Path) -> None:
    run = Training("msd", tmp_path / "run")
    del run.networks["msd"]
    run.networks["mrd"] = ensemble("mrd")
    parameters = itertools.chain(*(run.networks[name].parameters() for name in ("mrd", "mpd")))
    run.optim_d = trained(parameters)
    run.save()
    start = import_checkpoint(run.checkpoint, discriminators=run.path).start
    assert start is not None
    OURS["mrd"].load_state_dict(start.state["discriminators"]["mrd"])
    assert not start.left_out


def test_the_cqt_discriminator_of_bigvgan_v2_is_imported_under_its_own_name(tmp_path: Path) -> None:
    run = Training("mrd", tmp_path / "run")
    network = run.networks["mrd"] = cqt_ensemble()
    chained = itertools.chain(network.parameters(), run.networks["mpd"].parameters())
    run.optim_d = trained(chained)
    run.save()
    start = import_checkpoint(run.checkpoint, discriminators=run.path).start
    assert start is not None and not start.left_out
    assert start.state["discriminators"].keys() == {"mpd", "cqtd"}
    OURS["cqtd"].load_state_dict(start.state["discriminators"]["cqtd"])
    moments = start.state["optimizers"]["discriminators"]
    parameters = dict(network.named_parameters())
    for own, weight in OURS["cqtd"].named_parameters():
        theirs = parameters[older(own)]
        assert torch.equal(weight, theirs), own
        assert same(moments.pop(f"cqtd.{own}"), run.optim_d.state[theirs]), own
    assert moments.keys() == {f"mpd.{own}" for own, _ in OURS["mpd"].named_parameters()}


@pytest.mark.parametrize("key", ["optim_g", "optim_d"])
def test_optimizers_that_do_not_fit_the_networks_are_refused(key: str, tmp_path: Path) -> None:
    run = Training("msd", tmp_path / "run")
    optimizer = getattr(run, key)
    parameters = optimizer.param_groups[0]["params"]
    optimizer.state[parameters[1]]["exp_avg"] = torch.zeros(7)
    run.save()
    with pytest.raises(CheckpointError, match=rf"{key}: .*exp_avg has the shape \[7\]"):
        import_checkpoint(run.checkpoint, discriminators=run.path)
    run.save(**{key: trained(iter(parameters[1:])).state_dict()})
    with pytest.raises(CheckpointError, match=rf"{key} has \d+ parameters, but the networks"):
        import_checkpoint(run.checkpoint, discriminators=run.path)
    run.save(**{key: {"state": 3}})
    with pytest.raises(CheckpointError, match=rf"{key} is not the state of an Adam"):
        import_checkpoint(run.checkpoint, discriminators=run.path)


def test_discriminators_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    run = Training("msd", tmp_path / "run")
    state = run.networks["mpd"].state_dict()
    del state["discriminators.1.conv_post.bias"]
    run.save(mpd=state)
    with pytest.raises(CheckpointError, match=r"do_00000010: mpd: .*discriminators\.1\.conv_post"):
        import_checkpoint(run.checkpoint, discriminators=run.path)
    with pytest.raises(CheckpointError, match="not a file of discriminators"):
        import_checkpoint(run.checkpoint, discriminators=run.checkpoint)


def test_a_model_without_a_start_has_none(tmp_path: Path) -> None:
    run = Training("msd", tmp_path / "run")
    imported = import_checkpoint(run.checkpoint, discriminators=run.path)
    assert imported.start is not None
    model = tmp_path / "model"
    save_model(model, imported.generator, imported.config, start=imported.start.state)
    assert load_start(model) is not None
    (model / START_NAME).write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=rf"{START_NAME}: damaged"):
        load_start(model)
    torch.save([1], model / START_NAME)
    with pytest.raises(CheckpointError, match=rf"{START_NAME}: not a fine-tuning state"):
        load_start(model)
    save_model(model, imported.generator, imported.config)
    assert load_start(model) is None
