"""Construction of objects from plain dictionaries with `_target_`, as in Hydra.

    build({"_target_": "vocoder.generators.hifigan.HiFiGAN", "n_mels": 80, …})
    → HiFiGAN(n_mels=80, …)

A configuration may come with a downloaded model, so it must not be able to run code: a target is a
class whose own module lies in `vocoder` (or `torch.optim`, for training), or below a prefix that
the caller has declared trusted with `trust`; no file can do that. Arguments are checked against
the signature before the call, so a misspelt key is an error that lists the accepted ones.
"""

import functools
import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from vocoder.errors import ConfigError
from vocoder.io.upgrade import ARGUMENTS, upgrade_target

_SPECIAL = {"_target_", "_partial_"}
_allowed = ["vocoder.", "torch.optim."]


def trust(prefix: str) -> None:
    """Let configurations in this process name classes of the package or module `prefix`.

    Do so only for code you trust: it is imported and run when a model or a configuration names one
    of its classes. Raises ConfigError if `prefix` is not a dotted name.
    """
    if not all(part.isidentifier() for part in prefix.split(".")):
        raise ConfigError(
            f"trust {prefix!r}: give the name of a package or module, such as my_vocoder"
        )
    if f"{prefix}." not in _allowed:
        _allowed.append(f"{prefix}.")


def build(node: Any, origin: str = "config") -> Any:
    """Construct the objects that a configuration `node` describes; `origin` names it in errors.

    Dictionaries with `_target_` become objects (with `_partial_: true`, a function that still lacks
    some arguments), other dictionaries and lists are built item by item, other values are returned.
    Raises ConfigError for a class, an argument or a value that is not accepted.

    >>> build({"_target_": "vocoder.losses.waveform.WaveformL1"}).__class__.__name__
    'WaveformL1'
    """
    if isinstance(node, Mapping):
        arguments = {
            str(key): build(value, f"{origin}.{key}")
            for key, value in node.items()
            if key not in _SPECIAL
        }
        if "_target_" not in node:
            return arguments
        return _construct(str(node["_target_"]), arguments, bool(node.get("_partial_")), origin)
    if isinstance(node, list | tuple):
        return [build(value, f"{origin}[{index}]") for index, value in enumerate(node)]
    return node


def _construct(target: str, arguments: dict[str, Any], partial: bool, origin: str) -> Any:
    cls = find_class(target, origin)
    signature = inspect.signature(cls)
    unknown = sorted(arguments.keys() - signature.parameters.keys())
    if unknown:
        accepted = ", ".join(signature.parameters)
        renamed = ARGUMENTS.get(cls.__name__, {})
        hints = [f"{old} is now called {renamed[old]}" for old in unknown if old in renamed]
        raise ConfigError(
            f"{origin}: {cls.__name__} has no argument {unknown}; "
            f"{', '.join(hints) or f'it takes {accepted}'}"
        )
    if partial:
        return functools.partial(cls, **arguments)
    try:
        signature.bind(**arguments)
    except TypeError as error:
        accepted = ", ".join(signature.parameters)
        raise ConfigError(f"{origin}: {cls.__name__}: {error}; it takes {accepted}") from error
    try:
        return cls(**arguments)
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}") from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{origin}: {cls.__name__} cannot be built: {error}") from error


def find_class(target: str, origin: str = "config") -> type:
    """Import the class that `target` names; `origin` names the configuration in errors.

    Classes that have moved since an earlier release are found under their old names, too. Raises
    ConfigError for a class that does not exist, or that a configuration must not name.
    """
    target = upgrade_target(target)
    module_name, _, name = target.rpartition(".")
    if not target.startswith(tuple(_allowed)):
        raise ConfigError(
            f"{origin}: _target_ {target!r} lies outside this package; not built (if you trust its "
            "code, call vocoder.trust, or use --trust on the command line)"
        )
    try:
        found = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{origin}: there is no {target!r} ({error})") from error
    # An imported name such as vocoder.build.inspect has the prefix; its real module does not.
    if not inspect.isclass(found) or not f"{found.__module__}.".startswith(tuple(_allowed)):
        raise ConfigError(
            f"{origin}: _target_ {target!r} is not a class of this package; not built"
        )
    return found
