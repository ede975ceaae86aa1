"""Overrides of the command line, quoted for Hydra where its grammar would misread them."""

import os
import re
from collections.abc import Iterable, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Quote, QuotedString
from hydra.errors import OverrideParseException

from vocoder.errors import ConfigError
from vocoder.io.upgrade import renamed_setting

# What looks like Hydra's own syntax: a list, a dictionary, a quoted value or a call of a function.
_SYNTAX = re.compile(
    r"\s*([\[{'\"]|(bool|choice|extend_list|float|glob|int|interval|json_str|range|shuffle|sort|str"
    r"|tag)\()"
)


def quoted(arguments: Sequence[str]) -> list[str]:
    """Hydra's arguments, each value in quotes that can only be meant as text, such as a path.

    That is a value that Hydra cannot parse and that does not look like its syntax, one that is the
    path of a file and that Hydra would take for something else, and, unless several runs are asked
    for (-m), a path with commas.
    """
    several = any(each in ("-m", "--multirun") for each in arguments)
    parser = OverridesParser.create()
    return [_quoted(parser, each, several) for each in arguments]


def require_current_names(overrides: Iterable[str]) -> None:
    """Raise ConfigError, with the new name, for a setting of an earlier release."""
    for override in overrides:
        renamed = renamed_setting(override)
        if renamed is not None:
            raise ConfigError(f"{override}: since 0.2 this is {renamed}")


def unreadable(override: str) -> ConfigError:
    """The error for an override that Hydra cannot parse."""
    return ConfigError(
        f"{override}: cannot be read; write KEY=VALUE, a list as KEY=[1,2], and text with special "
        "characters in two pairs of quotes, \"KEY='TEXT'\""
    )


def _quoted(parser: OverridesParser, argument: str, several: bool) -> str:
    key, equals, value = argument.partition("=")
    if not equals or key.startswith("-"):  # an option of Hydra, or its value
        return argument
    text = f"{key}={QuotedString(value, Quote.single).with_quotes()}"
    exists = os.path.lexists(value)
    try:
        (parsed,) = parser.parse_overrides([argument])
    except OverrideParseException:
        meant = exists or not (_SYNTAX.match(value) or (several and "," in value))
        return text if meant and _parses(parser, text) else argument
    found = parsed._value
    if isinstance(found, ChoiceSweep) and found.simple_form and not several and os.sep in value:
        return text
    plain = isinstance(found, str | int | float | None) and (found == value or "/" not in value)
    return text if exists and not plain else argument


def _parses(parser: OverridesParser, override: str) -> bool:
    try:
        parser.parse_overrides([override])
    except OverrideParseException:
        return False
    return True
