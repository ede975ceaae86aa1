"""Pages: one file without requests, text that cannot break out, sounds that are not changed."""

import base64
import io
import re
from pathlib import Path

import pytest
import soundfile
import torch

from vocoder.errors import AudioError, VocoderError
from vocoder.pages.media import audio_data, common_gain, envelope, picture_data
from vocoder.pages.page import write_page

TEMPLATE = """{% extends "base.html" %}
{% block title %}{{ title }}{% endblock %}
{% block heading %}{{ title }}{% endblock %}
{% block main %}<p>own</p>{% endblock %}
{% block data %}{{ data("values", values) }}{% endblock %}"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    for kind, name, text in (
        ("templates", "own.html", TEMPLATE),
        ("styles", "own.css", ".own { color: red; }\n"),
        ("scripts", "own.js", '"use strict"; if (1 < 2 && 3 > 2) console.info("<own>");\n'),
    ):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / name).write_text(text)
    return tmp_path / "templates" / "own.html"


def test_a_page_holds_its_styles_and_scripts_and_asks_for_nothing(
    tmp_path: Path, template: Path
) -> None:
    path = tmp_path / "new" / "page.html"
    content = {"title": "A & B", "values": [1, 2]}
    write_page(path, template, styles=["own.css"], scripts=["player.js", "own.js"], **content)
    text = path.read_text("utf-8")
    assert ".own { color: red; }" in text  # the page's own
    assert 'if (1 < 2 && 3 > 2) console.info("<own>");' in text  # not escaped
    assert "class Player" in text and "--paper" in text  # the toolkit's
    assert "A &amp; B" in text
    assert "default-src 'none'" in text
    links = re.findall(r"""(?:src|href)=["']?([^"' >]+)|url\(([^)]+)\)""", text)
    assert {a or b for a, b in links} <= {"data:,", "#main"}


def test_no_text_breaks_out_of_a_page(tmp_path: Path, template: Path) -> None:
    evil = "</script><img src=x onerror=alert(1)>"
    write_page(tmp_path / "page.html", template, title=evil, values={"text": evil})
    text = (tmp_path / "page.html").read_text("utf-8")
    assert "<img" not in text
    assert text.count("</script>") == len(re.findall(r"<script[ >]", text)) == 2


def test_faults_of_a_page_are_errors(tmp_path: Path, template: Path) -> None:
    path = tmp_path / "page.html"
    with pytest.raises(ValueError, match="JSON"):
        write_page(path, template, title="", values=float("nan"))
    with pytest.raises(Exception, match="undefined"):
        write_page(path, template, values=0)
    path.mkdir()
    with pytest.raises(VocoderError, match="cannot be written"):
        write_page(path, template, title="", values=0)


@pytest.mark.parametrize(("channels", "rate"), [(1, 22050), (2, 48000)])
def test_sounds_keep_every_sample(channels: int, rate: int) -> None:
    audio = torch.randint(-32768, 32768, (channels, 999)) / 32768
    samples, read_rate = soundfile.read(
        io.BytesIO(base64.b64decode(audio_data(audio, rate))), dtype="float32", always_2d=True
    )
    assert read_rate == rate
    assert torch.equal(torch.from_numpy(samples.T), audio)


def test_sounds_are_never_clipped() -> None:
    loud = torch.tensor([[0.1, -1.25]])
    with pytest.raises(AudioError, match=r"peak of 1\.25.*common_gain"):
        audio_data(loud, 16000)
    gain = common_gain([loud, torch.tensor([[0.5]])])
    assert gain == pytest.approx(0.8)
    assert audio_data(gain * loud, 16000)
    assert common_gain([torch.ones(1, 1)]) == 1.0
    for wrong in (torch.zeros(3), torch.zeros(1, 0), torch.tensor([[float("nan")]])):
        with pytest.raises(AudioError):
            audio_data(wrong, 16000)
    with pytest.raises(AudioError, match="9 channels"):
        audio_data(torch.zeros(9, 10), 16000)


def test_an_envelope_bounds_every_sample_of_its_part() -> None:
    audio = torch.rand(2, 1001) * 2 - 1
    pairs = torch.tensor(envelope(audio, 10)).reshape(-1, 2) / 1000
    parts = [audio[:, 1001 * i // 10 : 1001 * (i + 1) // 10] for i in range(10)]
    lows, highs = zip(*((part.min(), part.max()) for part in parts), strict=True)
    torch.testing.assert_close(pairs[:, 0], torch.stack(lows), atol=0.0006, rtol=0)
    torch.testing.assert_close(pairs[:, 1], torch.stack(highs), atol=0.0006, rtol=0)
    assert envelope(torch.tensor([[0.25, -0.5]]), 600) == [250, 250, -500, -500]


def test_pictures_are_data() -> None:
    assert picture_data(b"\x89PNG") == "data:image/png;base64,iVBORw=="
