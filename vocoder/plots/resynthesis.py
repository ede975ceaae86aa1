"""A recording beside what a network made of it, as validation shows it."""

from typing import TYPE_CHECKING

from torch import Tensor

from vocoder.features.mel import MelSpectrogram
from vocoder.plots.figure import DifferencePanel, SpectrumPanel, figure
from vocoder.plots.spectrogram import difference, mel_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def resynthesis_figure(real: Tensor, fake: Tensor, mel: MelSpectrogram) -> "Figure":
    """Figure of the mels of a recording and its resynthesis, and of their difference in dB.

    Shape: [T], [T].
    """
    first, other = (mel_picture(mel(audio[None, None])[0], mel.spec) for audio in (real, fake))
    return figure(
        [
            SpectrumPanel(picture=first, title="recording"),
            SpectrumPanel(picture=other, title="resynthesis"),
            DifferencePanel(picture=difference(first, other), title="resynthesis less recording"),
        ]
    )
