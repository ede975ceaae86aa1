"""JSON of a bounded size and depth."""

import json
from pathlib import Path
from typing import Any

from vocoder.errors import VocoderError
from vocoder.io.untrusted.messages import first_line

_JSON_BYTES = 16 << 20
_JSON_DEPTH = 64


def read_json(path: Path) -> Any:
    """Read a JSON file; raises VocoderError, which names it."""
    try:
        with path.open("rb") as file:
            text = file.read(_JSON_BYTES + 1)
    except FileNotFoundError as error:
        raise VocoderError(f"{path}: no such file") from error
    except OSError as error:
        raise VocoderError(f"{path}: cannot be read ({error.strerror or error})") from error
    return parse_json(text, str(path))


def parse_json(text: str | bytes, origin: str) -> Any:
    """Parse JSON of at most 16 MiB and 64 levels; raises VocoderError, which names `origin`."""
    if len(text) > _JSON_BYTES:
        raise VocoderError(f"{origin}: more than {_JSON_BYTES >> 20} MiB of JSON; not read")
    try:
        values = json.loads(text)
        json.dumps(values, ensure_ascii=False).encode()  # "\\ud800" is JSON, but no character
    except RecursionError as error:
        raise VocoderError(f"{origin}: JSON nested too deeply; not read") from error
    except ValueError as error:  # its syntax, its encoding, or a number of thousands of digits
        raise VocoderError(f"{origin}: not JSON ({first_line(error)})") from error
    level = [values]
    for _ in range(_JSON_DEPTH):
        level = [
            child
            for value in level
            if isinstance(value, list | dict)
            for child in (value if isinstance(value, list) else value.values())
        ]
    if level:
        raise VocoderError(f"{origin}: JSON nested more than {_JSON_DEPTH} deep; not read")
    return values
