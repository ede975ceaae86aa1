"""Checks of plain values, as configurations and files hold them, against type annotations.

An int is a number, a bool is neither; lists serve as tuples and sequences, strings as paths, whole
floats (YAML's 1e6) as ints. NaN and infinity are not accepted. `Any` accepts everything, and so
does an annotation that cannot be resolved at run time.
"""

import functools
import inspect
import math
import os
import reprlib
import types
from collections.abc import Callable, Mapping
from typing import Any, Literal, Union, get_args, get_origin

from vocoder.errors import ConfigError

_NAMES = {
    bool: "true or false",
    int: "an int",
    float: "a finite number",
    str: "a string",
    types.NoneType: "null",
}
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_EXACT = 2.0**53  # up to here a float holds every whole number


@functools.lru_cache(maxsize=1024)
def signature_of(cls: type) -> inspect.Signature:
    """Signature of a class's constructor, without what it collects in `*args` and `**kwargs`.

    Raises ConfigError for a class that has none.
    """
    try:
        try:
            signature = inspect.signature(cls, eval_str=True)
        except NameError:  # a name that only type checkers can see
            signature = inspect.signature(cls)
    except ValueError as error:
        raise ConfigError(f"{cls.__name__} is not made from named arguments") from error
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    named = [each for each in signature.parameters.values() if each.kind not in variable]
    return signature.replace(parameters=named)


def hint_of(parameter: inspect.Parameter) -> Any:
    """Type of an argument; one whose default is None may be None."""
    hint = parameter.annotation
    if hint is inspect.Parameter.empty or isinstance(hint, str):
        return Any
    return hint | None if parameter.default is None and _alternatives(hint) else hint


def accept(value: Any, hint: Any, place: str) -> Any:
    """The value, if it is of the type `hint`; the items of a list or mapping are not looked at.

    Returns an int for a whole float where an int belongs. Raises ConfigError, which names the
    `place` of the value and what belongs there.
    """
    options = _alternatives(hint)
    if not options or any(_is(value, option) for option in options):
        return value
    if isinstance(value, float) and int in options and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    raise ConfigError(f"{place} is {_shown(value)}; it must be {describe(hint)}")


def check(value: Any, hint: Any, place: str) -> None:
    """Raise ConfigError, which names the item, unless a value and its items are of a type."""
    accept(value, hint, place)
    if not _alternatives(hint):
        return
    hints = item_hints(value, hint)
    if isinstance(value, Mapping):
        keys = [get_args(option)[0] for option in _alternatives(hint) if get_args(option)]
        for index, (key, item) in enumerate(value.items()):
            if str in keys and not isinstance(key, str):
                raise ConfigError(f"{place} has the key {_SHORT.repr(key)}; it must be a string")
            check(item, hints(index), entry(place, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            check(item, hints(index), f"{place}[{index}]")


def item_hints(value: Any, hint: Any) -> Callable[[int], Any]:
    """Types of the items of a list or mapping of the type `hint`, by their index."""
    for option in _alternatives(hint):
        parts = get_args(option)
        if not parts or not isinstance(value, Mapping | list | tuple) or not _is(value, option):
            continue
        if _is_fixed(option):
            return parts.__getitem__
        return functools.partial(_first, parts[-1] if isinstance(value, Mapping) else parts[0])
    return functools.partial(_first, Any)


def admits(hint: Any, cls: type, *, partial: bool = False) -> bool:
    """Whether an object of `cls`, or with `partial` a function that makes one, is a `hint`."""
    options = _alternatives(hint)
    return not options or any(_admits(option, cls, partial) for option in options)


def describe(hint: Any) -> str:
    """What a type accepts, for messages: "an int or null"."""
    return " or ".join(dict.fromkeys(map(_described, _alternatives(hint)))) or "anything"


def named(kind: Any) -> str:
    """Name of a class, with its article."""
    name = getattr(kind, "__name__", str(kind))
    return f"{'an' if name[:1] in 'AEIO' else 'a'} {name}"


def entry(place: str, key: object) -> str:
    """Name, for messages, of an entry of the mapping at `place`."""
    return f"{place}.{printable(str(key))}"


def printable(text: str) -> str:
    """A text of a file as a message shows it: quoted if it has line breaks, cut short if long."""
    return text if text.isprintable() and len(text) < 80 else _SHORT.repr(text)


@functools.lru_cache(maxsize=1024)
def _alternatives(hint: Any) -> tuple[Any, ...]:
    """The types that a union consists of, or one type; () if everything is accepted."""
    if get_origin(hint) in (Union, types.UnionType):
        parts = [_alternatives(part) for part in get_args(hint)]
        return () if () in parts else tuple(each for part in parts for each in part)
    known = isinstance(hint, type) or get_origin(hint) is not None
    return (hint,) if known and hint not in (object, Any) else ()


def _shown(value: Any) -> str:
    plain = value is None or isinstance(value, bool | int | float | str | list | tuple | dict)
    return " ".join(_SHORT.repr(value).split()) if plain else named(type(value))


def _first(hint: Any, _: int) -> Any:
    return hint


def _is(value: Any, option: Any) -> bool:
    """Whether a value is of a type, apart from its items."""
    kind = get_origin(option) or option
    if kind is Literal:
        return any(value == each and type(value) is type(each) for each in get_args(option))
    if isinstance(value, str):
        return kind is str or (isinstance(kind, type) and issubclass(kind, os.PathLike))
    if isinstance(value, bool | int | float):
        return _is_number(value, kind)
    if isinstance(value, list | tuple):
        right = not _is_fixed(option) or len(value) == len(get_args(option))
        return right and isinstance(kind, type) and (_below(list, kind) or _below(tuple, kind))
    return _admits(option, type(value), False) or (kind is Callable and callable(value))


def _is_number(value: float, kind: Any) -> bool:
    if kind is float and type(value) is not bool:
        try:
            return math.isfinite(value)
        except OverflowError:  # an int beyond all floats
            return False
    return type(value) is kind or (kind is not int and _admits(kind, type(value), False))


def _is_fixed(option: Any) -> bool:
    """Whether a type is that of tuples of a certain length."""
    items = get_args(option)
    return get_origin(option) is tuple and bool(items) and items[-1] is not Ellipsis


def _admits(option: Any, cls: type, partial: bool) -> bool:
    kind = get_origin(option) or option
    if kind is Callable:
        makes = get_args(option)[-1:] or (Any,)
        return admits(makes[0], cls) if partial else _has(cls, "__call__")
    return not partial and isinstance(kind, type) and _below(cls, kind)


def _below(cls: type, kind: type) -> bool:
    """Whether a class is derived from another, or has the methods of a protocol."""
    if getattr(kind, "_is_protocol", False):
        return all(_has(cls, name) for name in _methods(kind))
    return issubclass(cls, kind)


def _has(cls: type, name: str) -> bool:
    """Whether objects of a class have an attribute by their class, and not by its metaclass."""
    return any(name in vars(base) for base in cls.__mro__)


@functools.lru_cache(maxsize=256)
def _methods(protocol: type) -> tuple[str, ...]:
    own = [base for base in protocol.__mro__ if base.__module__ not in ("builtins", "typing")]
    names = dict.fromkeys(name for base in own for name in vars(base))
    return tuple(name for name in names if name == "__call__" or not name.startswith("_"))


def _described(option: Any) -> str:
    kind = get_origin(option) or option
    if kind is Literal:
        return " or ".join(map(repr, get_args(option)))
    if option in _NAMES:
        return _NAMES[option]
    if kind is Callable:
        makes = describe(get_args(option)[-1]) if get_args(option) else "anything"
        return f"a function (`_partial_`) that makes {makes}"
    if _is_fixed(option):
        return f"a list of {len(get_args(option))} values"
    if isinstance(kind, type) and _below(dict, kind):
        return "a mapping"
    if isinstance(kind, type) and (_below(list, kind) or _below(tuple, kind)):
        return "a list"
    return f"{named(kind)} (a mapping with `_target_`)"
