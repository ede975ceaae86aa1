import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from vocoder.data.manifest import COLUMNS, PAIR_COLUMNS, SPLITS, Clip, read_manifest, write_manifest
from vocoder.errors import ConfigError, VocoderError
from vocoder.features.mel import PRESETS


def clip(path: Path, **changes: object) -> Clip:
    one = Clip(
        path=path,
        split="train",
        speaker="anna",
        seconds=1.5,
        samples=36000,
        sample_rate=24000,
        channels=1,
        bandwidth_hz=11800,
        peak_dbfs=-3.25,
        licence="CC0-1.0",
    )
    return dataclasses.replace(one, **changes)  # type: ignore[arg-type]


@given(
    speaker=st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0")),
    split=st.sampled_from(SPLITS),
    seconds=st.floats(0.0, 1e6),
    peak_dbfs=st.floats(-60.0, 3.0),
    samples=st.integers(1, 2**40),
)
def test_read_manifest_returns_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, **values: object
) -> None:
    folder = tmp_path_factory.getbasetemp()
    clips = [clip(folder / 'a, "b" é.wav', **values), clip(Path("/elsewhere/b.flac"))]
    write_manifest(folder / "m.csv", clips)
    assert read_manifest(folder / "m.csv") == clips


def test_mel_columns_are_there_if_a_clip_needs_them(tmp_path: Path) -> None:
    own = dataclasses.replace(PRESETS["pwg_22k_80"], mean=(0.1,) * 80, scale=(1.5,) * 80)
    plain, stated = clip(tmp_path / "a.wav"), clip(tmp_path / "a.wav", mel=tmp_path / "mels/a.npy")
    bare = [
        clip(tmp_path / "b.wav", mel=Path("/elsewhere/b.pt"), mel_spec=spec)
        for spec in (own, PRESETS["vocos_24k_100"])
    ]
    path = tmp_path / "m.csv"
    for clips, added in [([plain], []), ([stated], ["mel"]), ([stated, *bare], PAIR_COLUMNS[:2])]:
        write_manifest(path, clips)
        assert path.read_text().splitlines()[0].split(",") == [*COLUMNS, *added]
        assert read_manifest(path) == clips
    assert ",mels/a.npy,\n" in path.read_text()
    assert ",/elsewhere/b.pt,vocos_24k_100\n" in path.read_text()


def test_narrowband_column_is_there_if_a_clip_needs_it(tmp_path: Path) -> None:
    clips = [
        clip(tmp_path / "a.wav", narrowband=tmp_path / "in_ear/a.wav"),
        clip(tmp_path / "b.wav", narrowband=Path("/elsewhere/b.flac")),
    ]
    path = tmp_path / "m.csv"
    write_manifest(path, clips)
    assert path.read_text().splitlines()[0].split(",") == [*COLUMNS, "narrowband"]
    assert ",in_ear/a.wav\n" in path.read_text()
    assert read_manifest(path) == clips
    assert {one.paired for one in clips} == {"narrowband"}
    with pytest.raises(ConfigError, match="both mel and narrowband"):
        clip(tmp_path / "a.wav", mel=tmp_path / "a.npy", narrowband=tmp_path / "b.wav")


def test_paths_move_with_the_folder(tmp_path: Path) -> None:
    (tmp_path / "old/sub").mkdir(parents=True)
    write_manifest(
        tmp_path / "old/m.csv", [clip(tmp_path / "old/sub/a.wav"), clip(tmp_path / "b.wav")]
    )
    shutil.move(tmp_path / "old", tmp_path / "new")
    paths = [one.path for one in read_manifest(tmp_path / "new/m.csv")]
    assert paths == [tmp_path / "new/sub/a.wav", tmp_path / "b.wav"]


def test_relative_manifest_gives_absolute_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_manifest("m.csv", [clip(Path("sub/a.wav"))])
    assert "\nsub/a.wav," in Path("m.csv").read_text()
    assert read_manifest("m.csv")[0].path == tmp_path / "sub/a.wav"


def test_split_selects(tmp_path: Path) -> None:
    clips = [clip(tmp_path / f"{i}.wav", split=SPLITS[i % 3]) for i in range(7)]
    write_manifest(tmp_path / "m.csv", clips)
    for split in SPLITS:
        expected = [one for one in clips if one.split == split]
        assert read_manifest(tmp_path / "m.csv", split=split) == expected
    with pytest.raises(ConfigError, match=r"'dev'; choose from train, valid, test"):
        read_manifest(tmp_path / "m.csv", split="dev")


HEADER = ",".join(COLUMNS)
ROW = "a.wav,train,anna,1.5,36000,24000,1,11800,-3.25,CC0"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "missing columns"),
        (HEADER.replace("speaker", "talker"), r"missing columns \['speaker'\].*\['talker'\]"),
        (f"{HEADER},text\n{ROW},hello", r"unknown columns \['text'\]"),
        (f"{HEADER}\n{ROW}\n{ROW.replace('36000', 'many')}", ":3: samples is 'many'"),
        (f"{HEADER}\n{ROW.replace('-3.25', '-inf')}", ":2: peak_dbfs"),
        (f"{HEADER}\n{ROW.replace('24000', '0')}", ":2: sample_rate"),
        (f"{HEADER}\n{ROW.replace('train', 'tran')}", ":2: split is 'tran'"),
        (f"{HEADER},mel_spec\n{ROW},nosuch", ":2: no mel preset 'nosuch'"),
        (f'{HEADER},mel_spec\n{ROW},"{{""hop"": 1}}"', r":2: mel_spec: unknown keys \['hop'\]"),
        (f"{HEADER},mel_spec\n{ROW},{{", ":2: mel_spec is not JSON"),
        (f"{HEADER}\n{ROW},", ":2: has more or fewer fields"),
        (f"{HEADER}\na.wav,train", ":2: has more or fewer fields"),
        (f"{HEADER}\n{ROW}\xff", "UTF-8"),
    ],
)
def test_wrong_manifest_is_named_with_its_place(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=reason) as caught:
        read_manifest(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_missing_manifest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.csv: .*vocoder prepare"):
        read_manifest(tmp_path / "absent.csv")


def test_byte_order_mark_is_not_part_of_the_header(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(f"{HEADER}\n{ROW}\n", encoding="utf-8-sig")
    assert read_manifest(tmp_path / "m.csv")[0].speaker == "anna"


def test_interrupted_writing_leaves_the_old_manifest(tmp_path: Path) -> None:
    def interrupted() -> Iterator[Clip]:
        yield clip(tmp_path / "b.wav")
        raise KeyboardInterrupt

    old = [clip(tmp_path / "a.wav")]
    write_manifest(tmp_path / "m.csv", old)
    with pytest.raises(KeyboardInterrupt):
        write_manifest(tmp_path / "m.csv", interrupted())
    assert read_manifest(tmp_path / "m.csv") == old
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(VocoderError, match="cannot be written"):
        write_manifest(tmp_path / "m.csv" / "below_a_file.csv", old)
