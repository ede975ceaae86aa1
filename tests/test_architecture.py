"""Architecture: imports run one way, only training imports Hydra, `import vocoder` is light."""

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import vocoder

ROOT = Path(vocoder.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# A part may import parts of its own row and of the rows above.
LAYERS = (
    {"errors", "threads"},
    {"io"},
    {"build", "checks", "dsp"},
    {"features", "kernels", "nn"},
    {"io.mel_file"},
    {"degradations", "pages", "plots"},
    {"discriminators"},
    {"augmentation", "losses"},
    {"generators"},
    {"checkpoint", "data", "evaluation"},
    {"importers", "streaming"},
    {"export"},
    {"inference"},
    {"training"},
    {"bench", "doctor"},
    {"cli"},
    {"__main__"},
)
RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}
HYDRA = {"hydra", "omegaconf"}
OPTIONAL = {"h5py", "librosa", "matplotlib", "pesq", "scipy", "tensorboard", "torchaudio"}
OPTIONAL |= {"PIL", "jinja2", "pyloudnorm", "pystoi"}
OPTIONAL |= {"mlflow", "onnx", "onnxruntime", "openvino", "visqol", "wandb", "yaml"}


def imports(tree: ast.AST) -> Iterator[str]:
    """Full names of all modules that a piece of code imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole module"
            # `from vocoder import nn` imports a part as much as `import vocoder.nn`.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def part_of(path: Path) -> str:
    return part(path.relative_to(ROOT).with_suffix("").parts)


def part(words: Sequence[str]) -> str:
    """The entry of LAYERS that a module belongs to: its first word, or the first two."""
    both = ".".join(words[:2])
    return both if both in RANK else words[0]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_run_one_way(path: Path) -> None:
    own = RANK.get(part_of(path), len(LAYERS))
    for name in imports(parse(path)):
        words = name.split(".")
        if words[0] == "vocoder":
            assert RANK.get(part(words[1:]), 0) <= own, f"{name} is above {name_of(path)}"


def test_every_part_has_a_place() -> None:
    for path in FILES:
        assert part_of(path) in RANK or path == ROOT / "__init__.py", "add it to LAYERS"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_only_training_imports_hydra(path: Path) -> None:
    used = {name.split(".")[0] for name in imports(parse(path))} & HYDRA
    assert not used or part_of(path) == "training"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_optional_packages_are_imported_where_they_are_needed(path: Path) -> None:
    if part_of(path) == "training":
        return
    for statement in parse(path).body:
        if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            continue  # not imported when it runs
        if not isinstance(statement, ast.FunctionDef | ast.ClassDef):
            assert not {name.split(".")[0] for name in imports(statement)} & OPTIONAL


def run(code: str) -> str:
    """Output of a new interpreter."""
    command = [sys.executable, "-W", "error::DeprecationWarning:vocoder", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


HEAVY = HYDRA | OPTIONAL


def test_using_the_library_imports_nothing_heavy() -> None:
    code = f"""
import sys, torch, vocoder
v = vocoder.load("griffin-lim")
v(v.mel(torch.zeros(5000), sample_rate=22050))
vocoder.read_mel, vocoder.read_audio
print(sorted({HEAVY!r} & sys.modules.keys()))
"""
    assert run(code) == "[]"


def test_import_takes_less_than_a_second_beyond_torch() -> None:
    code = """
import time, torch
start = time.perf_counter()
import vocoder
vocoder.load, vocoder.MelSpec, vocoder.read_mel
print(time.perf_counter() - start)
"""
    assert float(run(code)) < 1.0


def test_import_alone_and_help_need_no_torch() -> None:
    for code in ("import vocoder", "from vocoder.cli.app import app"):
        assert run(f"{code}\nimport sys\nprint('torch' in sys.modules)") == "False"


PACKAGES = [
    *("augmentation", "degradations", "discriminators", "dsp", "features", "generators"),
    *("losses", "nn"),
]


def checked_names(path: Path) -> set[str]:
    """Names that a package declares for type checkers."""
    blocks = [node for node in parse(path).body if isinstance(node, ast.If)]
    (block,) = [b for b in blocks if isinstance(b.test, ast.Name) and b.test.id == "TYPE_CHECKING"]
    assert all(isinstance(node, ast.ImportFrom) for node in block.body)
    return {alias.name for node in block.body for alias in node.names}


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_class_of_a_package_is_exported(name: str) -> None:
    package = importlib.import_module(f"vocoder.{name}")
    public = set()
    for path in (ROOT / name).rglob("*.py"):
        nodes = [node for node in parse(path).body if isinstance(node, ast.ClassDef)]
        public |= {node.name for node in nodes if not node.name.startswith("_")}
    assert public <= set(package.__all__) == checked_names(ROOT / name / "__init__.py")
    for each in package.__all__:
        assert getattr(package, each) is not None
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="no_such"):
        package.no_such  # noqa: B018


def test_public_names_exist() -> None:
    assert checked_names(ROOT / "__init__.py") <= set(vocoder.__all__)
    for name in vocoder.__all__:
        assert getattr(vocoder, name).__name__ == name
    assert set(vocoder.__all__) <= set(dir(vocoder))
    with pytest.raises(AttributeError, match="no_such"):
        vocoder.no_such  # noqa: B018


def test_the_root_has_no_other_files() -> None:
    files = {path.name for path in ROOT.iterdir() if path.is_file()}
    own = {"__init__.py", "__main__.py", "build.py", "checkpoint.py", "errors.py", "threads.py"}
    assert files == {*own, "py.typed"}


@pytest.mark.parametrize("folder", sorted({path.parent for path in FILES}), ids=str)
def test_folders_are_small_and_have_a_docstring(folder: Path) -> None:
    text = ast.get_docstring(parse(folder / "__init__.py"))
    assert text
    assert text.splitlines()[0].endswith(".")
    if not any(path.is_dir() and path.name != "__pycache__" for path in folder.iterdir()):
        lines = sum(len(path.read_text("utf-8").splitlines()) for path in folder.glob("*.py"))
        assert lines <= 1300, f"{folder.name} has {lines} lines: give it sub-folders"


def test_no_two_public_classes_have_one_name() -> None:
    nodes = [node for path in FILES for node in parse(path).body if isinstance(node, ast.ClassDef)]
    names = [node.name for node in nodes if not node.name.startswith("_")]
    assert sorted(names) == sorted(set(names))


@pytest.mark.slow  # it builds them all
def test_the_manual_lists_the_systems() -> None:
    from vocoder.training.catalogue import markdown

    page = (ROOT.parent / "docs" / "pages" / "systems.md").read_text(encoding="utf-8")
    listed = page.split("a test compares -->\n")[1].split("\n<!-- end -->")[0]
    assert listed == markdown(), "run `vocoder systems --markdown`"
