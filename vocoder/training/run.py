"""`vocoder train`: Hydra composes the configuration, `build` makes the system, the trainer runs."""

import logging
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import hydra
import torch
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)
from rich.console import Console

from vocoder.build import build
from vocoder.checkpoint import find_model, load_config
from vocoder.errors import ConfigError, VocoderError
from vocoder.features.mel import PRESETS, MelSpec
from vocoder.training.guards.failures import failures_in_one_line, file_error
from vocoder.training.multirun import Jobs, with_folder
from vocoder.training.overrides import quoted, require_current_names, unreadable
from vocoder.training.parallel.ranks import Ranks, ReportedElsewhereError, first_reporting
from vocoder.training.reporting.log_handlers import set_up
from vocoder.training.signals import signals_held, signals_ignored
from vocoder.training.system import System
from vocoder.training.trainer import Trainer

log = logging.getLogger(__name__)


def _feature_attribute(path: str, feature: DictConfig) -> Any:
    """The attribute "cutoff_range" of a configured feature, or its item "cutoff_range.0"."""
    name, _, index = path.partition(".")
    value = getattr(build(OmegaConf.to_container(feature, resolve=True), "features"), name)
    if value is None:
        raise ConfigError(
            f"features: this degradation has no single {name}; set the generator's own"
        )
    if index:
        return value[int(index)]
    return list(value) if isinstance(value, tuple) else value


# `${feature:cutoff_range,${features.narrowband}}` takes a setting from the feature that defines it.
OmegaConf.register_new_resolver("feature", _feature_attribute, replace=True)


def _register_presets() -> None:
    """Make the mel presets of `vocoder.features.mel` the options of the group "mel"."""
    for name, spec in PRESETS.items():
        node = {"_target_": f"{MelSpec.__module__}.MelSpec", **spec.to_dict()}
        ConfigStore.instance().store(name, node, group="mel", provider="vocoder.features.mel")


_register_presets()


def config_folder() -> Path:
    """The folder of the configurations: in the installed package, or beside it in a checkout."""
    packaged = Path(str(files("vocoder") / "configs"))
    return packaged if packaged.is_dir() else packaged.parents[1] / "configs"


def plain(config: DictConfig, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Resolve every reference of a composed configuration and return plain containers.

    With `trainer.init_from`, mel and generator are those of that model, so `overrides` must not
    change them (ConfigError).
    """
    _use_initial_model(config, overrides)
    try:
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        key = str(error.full_key or error).splitlines()[0]
        hint = " (a file made by `vocoder prepare DIR -o FILE`)" if key == "data.manifest" else ""
        raise ConfigError(f"{key} is not given: add {key}=…{hint}") from error
    except InterpolationResolutionError as error:
        raise ConfigError(str(error).splitlines()[0]) from error
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _use_initial_model(config: DictConfig, overrides: Sequence[str]) -> None:
    """Put mel, generator and licences of the model `trainer.init_from`, if any, into `config`."""
    name = OmegaConf.select(config, "trainer.init_from")
    if name is None:
        return
    refused = [each for each in overrides if re.match(r"[+~]*(mel|generator)(\.|=|$)", each)]
    if refused:
        raise ConfigError(
            f"trainer.init_from={name} brings its own mel and generator; drop {', '.join(refused)}"
        )
    model = load_config(find_model(name))
    OmegaConf.set_struct(config, False)  # or keys that the system's do not have are refused
    config.mel = {"_target_": f"{MelSpec.__module__}.MelSpec", **model.mel.to_dict()}
    config.generator = model.generator
    config.licences = OmegaConf.merge(model.licences, config.licences)


def compose(overrides: list[str]) -> dict[str, Any]:
    """The plain configuration that `vocoder train` would use with these overrides.

    Raises ConfigError, with the key and the choices on one line, if they do not compose.
    """
    require_current_names(overrides)
    overrides = quoted(overrides)
    with (
        _hydra_errors_in_one_line(),
        hydra.initialize_config_dir(str(config_folder()), version_base="1.3"),
    ):
        return plain(hydra.compose("train", overrides), overrides)


def build_system(values: dict[str, Any]) -> System:
    """The system that a plain configuration describes, its networks initialised from its seed."""
    torch.manual_seed(int(values.get("seed", 0)))
    system = build({"_target_": "vocoder.training.system.System", **values}, "config")
    assert isinstance(system, System)
    return system


def _train(config: DictConfig) -> None:
    values = plain(config, HydraConfig.get().overrides.task)
    values["trainer"]["output"] = HydraConfig.get().runtime.output_dir
    threads = values["trainer"].get("threads")
    if threads:
        torch.set_num_threads(threads)
    console = Console(stderr=True)
    # The group is made first: then the others see when a process fails while it builds its system.
    ranks = Ranks(values["trainer"].get("device", "auto"))
    set_up(console, first=ranks.first)
    received: list[int] = []
    with ExitStack() as stack:
        if ranks.size > 1:  # all end together; a single process may end at once while it is built
            stack.enter_context(signals_held(received.append))
        stack.enter_context(ranks.failing_together())
        stack.enter_context(failures_in_one_line(values["trainer"]["output"]))
        trainer = Trainer(build_system(values), values, console=console, ranks=ranks)
        if ranks.size == 1:
            stack.enter_context(signals_ignored())
        code = trainer.run(received)
        ranks.close()
        if code:  # stopped by a signal: that ends a multirun, too
            sys.exit(code)


@first_reporting()
def main(arguments: list[str]) -> int:
    """Train with Hydra's `arguments` (`system=… data.manifest=… -m`) and return the exit code.

    The exit code is 128 + the signal if one ended the run. Raises ConfigError for arguments that do
    not compose, with the key and the choices on one line.
    """
    require_current_names(arguments)
    arguments, jobs = with_folder(arguments), Jobs()

    @hydra.main(version_base="1.3", config_path=str(config_folder()), config_name="train")
    def task(config: DictConfig) -> None:
        output = HydraConfig.get().runtime.output_dir
        jobs.begin()
        try:
            with failures_in_one_line(output):
                _train(config)
        except VocoderError as error:  # raised below: Hydra would print a line of its own
            jobs.failed(error)

    before = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = ["vocoder train", *quoted(arguments)]
    # Otherwise Hydra prints errors itself and exits with 1 from inside.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        with _hydra_errors_in_one_line():
            task()
    except SystemExit as end:
        return int(end.code or 0)
    except OSError as error:  # Hydra makes the folder of the run
        raise file_error(error, "trainer.output") from error
    except ValueError as error:
        if "Only one of --run, --multirun" not in str(error):  # Hydra's, about its own options
            raise
        raise ConfigError(str(error)) from error
    finally:
        sys.argv = before[0]
        if before[1] is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = before[1]
    if isinstance(jobs.error, ReportedElsewhereError):
        return jobs.error.code
    if jobs.error is not None:
        raise jobs.error
    return 0


@contextmanager
def _hydra_errors_in_one_line() -> Iterator[None]:
    """Turn Hydra's errors about arguments that do not compose into ConfigError."""
    try:
        yield
    except OverrideParseException as error:
        raise unreadable(error.override) from error
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_one_line(str(error))) from error


def _one_line(message: str) -> str:
    """Hydra's message without its line breaks, search path and advice to add what is misspelt."""
    unknown = re.match("Could not override '([^']+)'", message)
    if unknown:
        return f"there is no setting {unknown[1]!r}; --cfg job prints all settings"
    lines = message.split("Config search path")[0].splitlines()
    sentence = " ".join(line.strip() for line in lines if not line.startswith("\t"))
    choices = ", ".join(line.strip() for line in lines if line.startswith("\t"))
    return f"{sentence} {choices}".strip()
