"""The recipes' scripts as modules, and the example clips laid out as each corpus."""

import sys
from pathlib import Path

import pytest

RECIPES = Path(__file__).parents[2] / "recipes"
sys.path.insert(0, str(RECIPES))


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory, clips: list[Path]) -> Path:
    """A folder with small versions of all four corpora, as after their downloads."""
    import small_corpus

    folder = tmp_path_factory.mktemp("corpora")
    for lay_out in small_corpus.LAYOUTS.values():
        lay_out(clips, folder)
    return folder
