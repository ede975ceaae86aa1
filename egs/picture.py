"""Draw what a vocoder does: mel in, waveform and mel out. Needs `vocoder[train]` for matplotlib.

python egs/picture.py [MEL_FILE]           writes egs/picture.png
"""

import sys
from pathlib import Path

from matplotlib.figure import Figure

import vocoder

HERE = Path(__file__).parent


def main(path: Path) -> None:
    v = vocoder.load()
    mel = vocoder.read_mel(path).mel
    audio = v(mel)
    seconds = len(audio) / v.sample_rate
    figure = Figure(figsize=(10, 6), layout="constrained")
    panels = figure.subplots(3, 1, sharex=True, height_ratios=(2, 1, 2))
    again = v.mel(audio, sample_rate=v.sample_rate)
    for panel, picture, title in ((panels[0], mel, "mel in"), (panels[2], again, "mel out")):
        panel.imshow(
            picture,
            origin="lower",
            aspect="auto",
            extent=(0.0, seconds, 0.0, v.spec.n_mels),
            vmin=float(mel.min()),
            vmax=float(mel.max()),
        )
        panel.set(title=title, ylabel="band")
    times = [index / v.sample_rate for index in range(len(audio))]
    panels[1].plot(times, audio, linewidth=0.4)
    panels[1].set(title="waveform out", ylim=(-1, 1))
    panels[2].set(xlabel="seconds")
    figure.savefig(HERE / "picture.png", dpi=90)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "mels" / "it_IT_paola.npy")
