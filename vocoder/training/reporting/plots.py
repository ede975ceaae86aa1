"""Spectrogram pictures of recordings and generated audio."""

import matplotlib
from matplotlib.figure import Figure
from torch import Tensor

from vocoder.features.mel import MelSpectrogram

matplotlib.use("Agg")


def spectrogram_figure(real: Tensor, fake: Tensor, mel: MelSpectrogram) -> Figure:
    """Figure of the log-mel spectrograms of a recording and its resynthesis, with equal colours.

    Shape: [T], [T].
    """
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True)
    pictures = [mel(audio[None, None])[0].numpy() for audio in (real, fake)]
    low, high = pictures[0].min(), pictures[0].max()
    seconds = real.shape[-1] / mel.spec.sample_rate
    for axis, picture, title in zip(axes, pictures, ("recording", "resynthesis"), strict=True):
        axis.imshow(
            picture,
            origin="lower",
            aspect="auto",
            vmin=low,
            vmax=high,
            extent=(0.0, seconds, 0.0, picture.shape[0]),
        )
        axis.set(title=title, ylabel="mel band")
    axes[-1].set(xlabel="seconds")
    return figure
