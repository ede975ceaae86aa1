"""The look of figures, and how they are written: the same input gives the same bytes."""

import html
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vocoder.errors import ConfigError
from vocoder.io.atomic import replacing_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FigureStyle = Literal["light", "dark"]
FORMATS = (".png", ".svg", ".pdf")
# Okabe and Ito (2008): colour-blind readers tell them apart. On dark paper the light ones lead.
_BLUE, _SKY, _VERMILION, _GREEN = "#0072b2", "#56b4e9", "#d55e00", "#009e73"
_PURPLE, _ORANGE = "#cc79a7", "#e69f00"
_LINES = {
    "light": (_BLUE, _VERMILION, _GREEN, _PURPLE, _ORANGE, _SKY),
    "dark": (_SKY, _ORANGE, _GREEN, _PURPLE, _VERMILION, _BLUE),
}

QUIET = "#8a8a8a"  # of grids and references
_SETTINGS: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: equal text on every machine
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.linewidth": 0.6,
    "axes.unicode_minus": True,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "grid.color": QUIET,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # TrueType inside: searchable text, as journals ask for
    "svg.fonttype": "path",
    "svg.hashsalt": "vocoder",
    "text.parse_math": False,  # names of files may have $
}
_INK = {"light": ("#1a1a1a", "white"), "dark": ("#e6e6e6", "#14161a")}
_DATES: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


@contextmanager
def styled(style: FigureStyle = "light") -> Iterator[None]:
    """Draw with our settings inside the block; those of the caller are untouched.

    Raises ConfigError if matplotlib is missing or there is no such style.
    """
    try:
        import matplotlib
        from cycler import cycler
    except ImportError as error:
        raise ConfigError("pictures need matplotlib; pip install 'vocoder[eval]'") from error
    if style not in _INK:
        raise ConfigError(f"no style {style!r}; styles are {', '.join(_INK)}")
    ink, paper = _INK[style]
    inked = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    papered = ("figure.facecolor", "axes.facecolor", "savefig.facecolor")
    settings: dict[Any, Any] = dict(matplotlib.rcParamsDefault) | _SETTINGS
    settings |= dict.fromkeys(inked, ink) | dict.fromkeys(papered, paper)
    settings["axes.prop_cycle"] = cycler(color=_LINES[style])
    del settings["backend"]  # the caller's, which we do not use
    with matplotlib.rc_context(settings):
        yield


def page_svg(figure: "Figure", words: str) -> str:
    """A figure of light style as an `<svg>` for pages, which takes their colours, light or dark.

    `words` describe it to those who do not see it.
    """
    drawn = io.StringIO()
    with styled(), _text_as_text():
        figure.savefig(drawn, format="svg", transparent=True, metadata=_DATES[".svg"])
    picture = drawn.getvalue()
    picture = picture[picture.index("<svg") :]
    picture = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", picture, flags=re.S)
    picture = re.sub(r'<g id="[^"]*"', "<g", picture)  # would repeat in the next figure
    ink = {_INK["light"][0]: "currentColor", QUIET: "var(--quiet)"}
    series = {colour: f"var(--series-{n})" for n, colour in enumerate(_LINES["light"], 1)}
    for colour, variable in (ink | series).items():
        picture = picture.replace(colour, variable)
    return picture.replace("<svg", f'<svg role="img" aria-label="{html.escape(words)}"', 1)


@contextmanager
def _text_as_text() -> Iterator[None]:
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none"}):
        yield


def check_format(path: Path) -> None:
    """Raise ConfigError unless the name of a picture ends in one of `FORMATS`."""
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(f"{path}: choose a name that ends in {', '.join(FORMATS)}")


def save(figure: "Figure", path: Path, *, dpi: float = 150.0) -> None:
    """Write a figure as .png, .svg or .pdf, complete or not at all; no date is written into it.

    Raises ConfigError for another suffix, VocoderError if the file cannot be written.
    """
    check_format(path)
    suffix = path.suffix.lower()
    with styled(), replacing_file(path) as temporary:
        figure.savefig(
            temporary,
            format=suffix[1:],
            dpi=dpi,
            metadata=_DATES[suffix],
            facecolor=figure.get_facecolor(),
        )
