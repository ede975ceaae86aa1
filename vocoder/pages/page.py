"""Pages: one HTML file each, with its styles, scripts, sounds and pictures inside."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vocoder import __version__
from vocoder.errors import ConfigError
from vocoder.io.atomic import replacing_file

_TOOLKIT = Path(__file__).parent
_STYLES = ("base.css",)  # of every page, before its own
_SCRIPTS = ("page.js",)


def write_page(
    path: Path,
    template: Path,
    /,
    *,
    styles: Sequence[str] = (),
    scripts: Sequence[str] = (),
    **content: Any,
) -> None:
    """Write a page from a jinja2 template into one file that needs no other file and no network.

    The template lies in a folder `templates`; beside that lie the folders `styles` and `scripts`.
    It extends `base.html`, fills its blocks `title`, `heading`, `actions`, `main` and `footer`,
    and escapes what it inserts. `{{ data(id, value) }}` puts a value, as JSON, where the scripts
    find it: `pageData(id)`. The page forbids itself every request (Content-Security-Policy).

    Raises ConfigError if jinja2 is missing, VocoderError if the file cannot be written.

    Args:
        path: The file; it appears complete or not at all.
        template: File of the template.
        styles: Names of further style sheets, of the template's or of `vocoder/pages/styles`.
        scripts: Names of further scripts, which run in this order after the page is there.
        content: Values for the template.
    """
    try:
        import jinja2
    except ImportError as error:
        raise ConfigError("pages need jinja2; pip install 'vocoder[eval]'") from error
    own = template.parent.parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([own / "templates", _TOOLKIT / "templates"]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"data": _data, "version": __version__}
    text = environment.get_template(template.name).render(
        styles=[_read(own, "styles", name) for name in (*_STYLES, *styles)],
        scripts=[_read(own, "scripts", name) for name in (*_SCRIPTS, *scripts)],
        **content,
    )
    with replacing_file(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def _data(name: str, value: Any) -> Any:
    """The element that holds `value` as JSON; no text in it can end the element.

    Raises ValueError for NaN and infinity, which JSON does not know.
    """
    from jinja2.utils import htmlsafe_json_dumps
    from markupsafe import Markup

    text = htmlsafe_json_dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup('<script type="application/json" id="{}">{}</script>').format(name, text)


def _read(own: Path, kind: str, name: str) -> Any:
    """A style sheet or script of the page's own folder or, if it is not there, of the toolkit."""
    from markupsafe import Markup

    path = own / kind / name
    return Markup((path if path.exists() else _TOOLKIT / kind / name).read_text(encoding="utf-8"))
