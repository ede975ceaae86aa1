"""What MkDocs does beyond reading pages/: files of the repository become pages, links follow them.

READMEs of the recipes, CONTRIBUTING and CHANGELOG have one place, where they are in the repository;
the site shows them from there. In every page, links are those that work in a checkout. A link to a
file that the site shows leads to its page, one to another file of the repository becomes text.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = "docs/pages"
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s#]*)(#[^)\s]*)?\)")
_SOURCE = re.compile(r'(?<=src=")([^":]+)(?=")')
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def shown() -> dict[str, str]:
    """Files of the repository outside docs/ that the site shows: path there → path in the site."""
    recipes = sorted(path.parent.name for path in ROOT.glob("recipes/*/README.md"))
    pictures = sorted(path.relative_to(ROOT) for path in ROOT.glob("recipes/*/*.png"))
    audio = sorted(path.relative_to(ROOT) for path in ROOT.glob("egs/**/*.flac"))
    return {
        "CONTRIBUTING.md": "contributing.md",
        "CHANGELOG.md": "changelog.md",
        "egs/picture.png": "egs/picture.png",
        **{f"recipes/{name}/README.md": f"recipes/{name}.md" for name in recipes},
        **{path.as_posix(): f"recipes/{path.name}" for path in pictures},
        **{path.as_posix(): path.as_posix() for path in audio},
    }


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add those files."""
    for source, target in shown().items():
        files.append(File.generated(config, target, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Any, config: MkDocsConfig, files: Files) -> str:
    """Turn links that work in a checkout into links of the site."""
    places = shown()
    source = {target: source for source, target in places.items()}.get(
        page.file.src_uri, f"{PAGES}/{page.file.src_uri}"
    )
    own_folder = posixpath.dirname(page.file.src_uri) or "."

    def of_site(link: str) -> str | None:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
        if path in places:
            return posixpath.relpath(places[path], own_folder)
        if path.startswith(f"{PAGES}/"):
            return posixpath.relpath(path.removeprefix(f"{PAGES}/"), own_folder)
        return None

    def replace(match: re.Match[str]) -> str:
        picture, label, link, anchor = match[1], match[2], match[3], match[4] or ""
        if "://" in link or not link:
            return match[0]
        target = of_site(link)
        if target is None:
            return label if (ROOT / posixpath.dirname(source) / link).exists() else match[0]
        return f"{picture}[{label}]({target}{anchor})"

    def replace_source(match: re.Match[str]) -> str:
        # Browsers resolve these against the page's own address, which is that of its source.
        return of_site(match[1]) or match[1]

    def outside_code(text: str) -> str:
        return _SOURCE.sub(replace_source, _LINK.sub(replace, text))

    parts, end = [], 0
    for fence in _FENCE.finditer(markdown):
        parts += [outside_code(markdown[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, outside_code(markdown[end:])])
