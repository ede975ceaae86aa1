"""Small pictures without axes, for pages."""

import io
from functools import cache
from typing import Literal

import numpy as np
from torch import Tensor

from vocoder.errors import ConfigError

Colours = Literal["spectrum", "difference"]
# Both have an even course of lightness: readable in grey and without distinguishing red and green.
COLOUR_MAPS: dict[str, str] = {"spectrum": "magma", "difference": "RdBu_r"}
_SHADES = 64  # 1.25 dB of 80: finer than the eye tells apart in a spectrogram, and small files


def png(
    values: Tensor,
    low: float,
    high: float,
    *,
    colours: Colours = "spectrum",
    size: tuple[int, int] | None = None,
) -> bytes:
    """Encode values as a palette PNG, the first row at the bottom. Shape: [K, F].

    Raises ConfigError if pillow or matplotlib is missing, or for limits that are no range.

    Args:
        values: What is drawn; NaN is drawn as `low`.
        low: Value of the first colour; smaller values have it, too.
        high: Value of the last colour.
        colours: "spectrum" from black to pale, or "difference" from blue over white to red.
        size: Width and height in pixels; one for each value by default.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ConfigError("pictures need pillow; pip install 'vocoder[eval]'") from error
    if not low < high:
        raise ConfigError(f"a picture needs low < high, not {low:g} and {high:g}")
    scaled = ((values.detach().cpu().float() - low) / (high - low)).clamp(0.0, 1.0)
    shades = np.nan_to_num(scaled.flip(0).numpy() * (_SHADES - 1)).round().astype(np.uint8)
    image = Image.fromarray(shades, mode="L")
    if size is not None:
        image = image.resize(size, Image.Resampling.BILINEAR)  # averages what it reduces
    image.putpalette(_palette(COLOUR_MAPS[colours]))
    encoded = io.BytesIO()
    image.save(encoded, format="PNG", compress_level=4)
    return encoded.getvalue()


@cache
def _palette(name: str) -> list[int]:
    """Red, green and blue of each shade."""
    try:
        from matplotlib import colormaps
    except ImportError as error:
        raise ConfigError("pictures need matplotlib; pip install 'vocoder[eval]'") from error
    shades = colormaps[name](np.linspace(0.0, 1.0, _SHADES), bytes=True)
    return [int(part) for part in np.asarray(shades)[:, :3].ravel()]
