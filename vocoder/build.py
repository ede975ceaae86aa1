"""Construction of objects from plain dictionaries with `_target_`, as in Hydra.

    build({"_target_": "vocoder.generators.hifigan.HiFiGAN", "n_mels": 80, …})
    → HiFiGAN(n_mels=80, …)

A configuration may come with a downloaded model, so it must not be able to run code: a target is a
class whose own module lies in `vocoder` (or `torch.optim`, for training), or below a prefix that
the caller has declared trusted with `trust`; no file can do that. Arguments are checked against
the signature and its annotations before the call: a misspelt key, a value of another type, or an
object of another kind than belongs there is an error that names the place in the configuration.
"""

import functools
import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from vocoder.checks.arguments import (
    accept,
    admits,
    describe,
    entry,
    hint_of,
    item_hints,
    named,
    signature_of,
)
from vocoder.errors import ConfigError
from vocoder.io.upgrade import ARGUMENTS, upgrade_target

_SPECIAL = {"_target_", "_partial_"}
DEEPEST = 40
"""Lists and mappings that may lie in each other."""
_allowed = ["vocoder.", "torch.optim."]
_OWN = len(_allowed)


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


def trusted() -> list[str]:
    """What `trust` was called with in this process, for processes that it starts."""
    return [prefix.removesuffix(".") for prefix in _allowed[_OWN:]]


def build(node: Any, origin: str = "config", *, kind: Any = Any) -> Any:
    """Construct the objects that a configuration `node` describes; `origin` names it in errors.

    Dictionaries with `_target_` become objects (with `_partial_: true`, a function that still lacks
    some arguments), other dictionaries and lists are built item by item, other values are returned.
    What `node` describes must be a `kind`: a class, such as Generator, or another type annotation.
    Raises ConfigError for a class, an argument or a value that is not accepted.

    >>> build({"_target_": "vocoder.losses.waveform.WaveformL1"}).__class__.__name__
    'WaveformL1'
    """
    return _build(node, kind, origin, 0)


def _build(node: Any, hint: Any, place: str, depth: int) -> Any:
    if depth > DEEPEST:
        raise ConfigError(f"{place[:200]}: more than {DEEPEST} lists and mappings in each other")
    if isinstance(node, Mapping) and "_target_" in node:
        return _construct(node, hint, place, depth)
    node = accept(node, hint, place)
    if isinstance(node, Mapping):
        hints = item_hints(node, hint)
        return {
            str(key): _build(value, hints(index), entry(place, key), depth + 1)
            for index, (key, value) in enumerate(node.items())
        }
    if isinstance(node, list | tuple):
        hints = item_hints(node, hint)
        return [
            _build(value, hints(index), f"{place}[{index}]", depth + 1)
            for index, value in enumerate(node)
        ]
    return node


def _construct(node: Mapping[Any, Any], hint: Any, place: str, depth: int) -> Any:
    target = accept(node["_target_"], str, f"{place}._target_")
    partial = accept(node.get("_partial_", False), bool, f"{place}._partial_")
    cls = find_class(target, place)
    if not admits(hint, cls, partial=partial):
        made = f"{'a function that makes ' if partial else ''}{named(cls)}"
        raise ConfigError(f"{place} is {made}; it must be {describe(hint)}")
    given = {str(key): value for key, value in node.items() if key not in _SPECIAL}
    try:
        signature = signature_of(cls)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from error
    _require_known(given, signature, cls, place)
    arguments = {
        name: _build(value, hint_of(signature.parameters[name]), f"{place}.{name}", depth + 1)
        for name, value in given.items()
    }
    if partial:
        return functools.partial(cls, **arguments)
    try:
        signature.bind(**arguments)
    except TypeError as error:
        accepted = ", ".join(signature.parameters)
        raise ConfigError(f"{place}: {cls.__name__}: {error}; it takes {accepted}") from error
    try:
        return cls(**arguments)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from error
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"{place}: {cls.__name__} cannot be built: {reason}") from error


def _require_known(
    given: Mapping[str, Any], signature: inspect.Signature, cls: type, place: str
) -> None:
    """Raise ConfigError for arguments that a class does not have."""
    unknown = sorted(given.keys() - signature.parameters.keys())
    if unknown:
        accepted = ", ".join(signature.parameters) or "none"
        renamed = ARGUMENTS.get(cls.__name__, {})
        hints = [f"{old} is now called {renamed[old]}" for old in unknown if old in renamed]
        raise ConfigError(
            f"{place}: {cls.__name__} has no argument {unknown}; "
            f"{', '.join(hints) or f'it takes {accepted}'}"
        )


def find_class(target: str, origin: str = "config") -> type:
    """Import the class that `target` names; `origin` names the configuration in errors.

    Classes that have moved since an earlier release are found under their old names, too. Raises
    ConfigError for a class that does not exist, or that a configuration must not name.
    """
    target = upgrade_target(target)
    module_name, _, name = target.rpartition(".")
    if not target.startswith(tuple(_allowed)):
        raise ConfigError(
            f"{origin}: _target_ {target[:200]!r} lies outside this package; not built (if you "
            "trust its code, call vocoder.trust, or use --trust on the command line)"
        )
    if len(target) > 200 or not all(part.isidentifier() for part in target.split(".")):
        raise ConfigError(f"{origin}: _target_ {target[:200]!r} is not the path of a class")
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
