"""Overrides: paths of any spelling work, Hydra's own syntax keeps its meaning."""

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from vocoder.errors import ConfigError
from vocoder.training.overrides import quoted
from vocoder.training.run import compose, main

NAMES = (
    "My Drive (1)",
    "a, b",
    "[old] x=1",
    "it's",
    'the "best"',
    "~a {b}",
    "日本 é#&;!^<>`",
    " led by a space",
    "back\\slash, it\\'s",
    "choice(a,b)",
)


@pytest.mark.parametrize("name", NAMES)
def test_path_with_special_characters_is_taken_as_it_is(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    for path in (tmp_path / name, tmp_path / name / "new, (2)"):  # of which one exists
        (parsed,) = OverridesParser.create().parse_overrides(quoted([f"a={path}"]))
        assert parsed.value() == str(path)


def test_existing_file_whose_name_is_hydras_syntax(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("choice(a,b)", "[a]", "a,b", "7"):
        (tmp_path / name).touch()
    assert quoted(["-m", "a=choice(a,b)", "a=[a]", "a=a,b", "a=7", "a=[a,b]"]) == [
        *("-m", "a='choice(a,b)'", "a='[a]'", "a='a,b'"),
        *("a=7", "a=[a,b]"),  # a number is a number, whatever files there are
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["-m", "system=a,b", "optim=x/a,y/b", "seed=range(1,4)"],
        ["data.speed=[0.9,1.1]", "+a={b: 1, c: [2]}", "~b", "++c=null", "d=1e-4", "e=${name}/f"],
        ["data.manifest='a (1)'", 'data.manifest="a, b"', "seed=choice(1,2)"],
        ["--config-dir", "a (1)", "--config-dir=a (1)", "--cfg", "job", "-cn", "x"],
    ],
)
def test_hydras_syntax_is_left_alone(arguments: list[str]) -> None:
    assert quoted(arguments) == arguments


@pytest.mark.parametrize(
    "override",
    ["data.speed=[0.9,1.1", "data.manifest='a'b", "demo", "data .x=1", "seed=range(1"],
)
def test_what_cannot_be_read_is_named_with_the_quoting(override: str) -> None:
    with pytest.raises(ConfigError) as caught:
        main(["system=demo", override])
    assert str(caught.value).startswith(f"{override}: cannot be read")
    assert "\"KEY='TEXT'\"" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_composed_paths_are_those_of_the_command_line(tmp_path: Path) -> None:
    path = f"{tmp_path}/{' '.join(NAMES)}.csv"
    values = compose(["system=demo", f"data.manifest={path}", f"trainer.output={tmp_path}/a, (b)"])
    assert values["data"]["manifest"] == path
    assert values["trainer"]["output"] == f"{tmp_path}/a, (b)"


def test_run_in_folders_with_special_characters(tmp_path: Path) -> None:
    output = tmp_path / "runs (1), [new]"
    with pytest.raises(ConfigError, match=r"my \(1\)/nosuch, x\.csv: cannot read"):
        main(
            [
                "system=demo",
                f"data.manifest={tmp_path}/my (1)/nosuch, x.csv",
                f"trainer.output={output}",
            ]
        )
    assert output.is_dir()
