"""Figures: equal inputs give equal bytes, equal colours equal levels; nothing global changes."""

import math
import re
from pathlib import Path

import matplotlib
import pytest
import torch

from vocoder.errors import ConfigError
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.plots.curves import CurvePanel, Line, curve_figure, smoothed
from vocoder.plots.figure import DifferencePanel, Mark, SpectrumPanel, WaveformPanel, figure
from vocoder.plots.resynthesis import resynthesis_figure
from vocoder.plots.spectrogram import difference, spectrum_picture
from vocoder.plots.style import page_svg, save

RATE = 16000


def panels() -> list[WaveformPanel | SpectrumPanel | DifferencePanel]:
    generator = torch.Generator().manual_seed(0)
    audio = torch.randn(RATE // 2, generator=generator) * 0.1
    first, other = (spectrum_picture(gain * audio, RATE, columns=50) for gain in (1.0, 0.01))
    f0 = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([200.0, math.nan, 210.0])
    marks = [Mark(0.1, 0.2, 2000.0, 4000.0, "a $ mark_"), Mark(0.3, 0.4)]
    return [
        WaveformPanel(audio=audio, sample_rate=RATE, title="a_$x$", marks=marks),
        SpectrumPanel(picture=first, marks=marks, f0=f0),
        SpectrumPanel(picture=other),
        DifferencePanel(picture=difference(first, other), marks=marks),
    ]


def test_equal_inputs_give_equal_files_and_nothing_global_changes(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    for suffix in ("png", "svg", "pdf"):
        for name in "ab":
            made = figure(panels()[:2], title="T", style="dark")
            save(made, tmp_path / f"{name}.{suffix}", dpi=50)
        files = [(tmp_path / f"{name}.{suffix}").read_bytes() for name in "ab"]
        assert files[0] == files[1]
        assert b"Date" not in files[0]
    assert dict(matplotlib.rcParams) == before
    svg = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert svg.count("<image") == 2 and "<text" not in svg  # one is the bar; letters are outlines
    assert b"/FontFile2" in (tmp_path / "a.pdf").read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_spectra_share_one_scale_and_all_panels_one_time() -> None:
    made = figure([*panels(), None], columns=2)
    images = [
        axes.images[0] for axes in made.axes if axes.images and axes.get_title(loc="left") == ""
    ]
    limits = {image.get_clim() for image in images}
    assert len(limits) == 2 and (-20.0, 20.0) in limits
    (top,) = (high for low, high in limits if low != -20.0)
    assert top == max(float(p.picture.decibels.max()) for p in panels()[1:3])  # type: ignore[union-attr]
    spans = {axes.get_xlim() for axes in made.axes if axes.get_xlabel() == "seconds"}
    assert len(spans) == 1
    with pytest.raises(ConfigError, match="needs a panel"):
        figure([None])


def test_validation_shows_recording_resynthesis_and_difference() -> None:
    mel = MelSpectrogram(MelSpec.preset("hifigan_22k_80"))
    audio = torch.randn(6000) * 0.1
    made = resynthesis_figure(audio, audio, mel)
    titles = [axes.get_title(loc="left") for axes in made.axes[:3]]
    assert titles == ["recording", "resynthesis", "resynthesis less recording"]
    assert made.axes[2].images[0].get_array().max() == 0.0  # type: ignore[union-attr]


def test_curves_are_smoothed_and_lines_without_numbers_are_no_error() -> None:
    assert smoothed([2.0] * 9) == pytest.approx([2.0] * 9)
    noisy = [1.0 + (-1) ** step * 0.5 for step in range(100)]
    assert max(abs(value - 1.0) for value in smoothed(noisy)[20:]) < 0.35
    assert smoothed([math.nan, 1.0, math.inf, 1.0])[1:] == [1.0, 1.0, 1.0]


def test_figure_of_a_page_takes_its_colours() -> None:
    line = Line(steps=[1, 2, 3], values=[1.0, math.nan, 2.0], label="<b>")
    other = Line(steps=[1, 2], values=[1.0, 2.0], label="reference", dashed=True)
    panel = CurvePanel(title="loss & <more>", lines=[line, other])
    svg = page_svg(curve_figure([panel]), 'two "lines"')
    assert "var(--series-1)" in svg and "currentColor" in svg and "var(--quiet)" in svg
    assert 'aria-label="two &quot;lines&quot;"' in svg
    assert "<b>" not in svg and "<style" not in svg
    assert not re.search(r"#(?!clip|m|D)[0-9a-f]{6}\b", svg.replace("#ffffff", ""))
