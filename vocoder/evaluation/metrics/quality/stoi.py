"""Short-time objective intelligibility, by the `pystoi` package."""

import warnings

from torch import Tensor

from vocoder.errors import AudioError, ConfigError


def stoi(reference: Tensor, estimate: Tensor, sample_rate: int) -> float:
    """Short-time objective intelligibility of speech, about 0 to 1; higher is better.

    Correlation of envelopes in third-octave bands from 150 Hz to 4.3 kHz over 384 ms, at 10 kHz,
    over frames less than 40 dB below the reference's loudest (Taal et al. 2011). Says whether words
    can be understood, and nothing of how natural they sound: vocoders all score high.

    Shape: [T], [T].   AudioError for silence, and for less than 384 ms of speech.
    """
    return _stoi(reference, estimate, sample_rate, extended=False)


def estoi(reference: Tensor, estimate: Tensor, sample_rate: int) -> float:
    """Extended short-time objective intelligibility, about 0 to 1; higher is better.

    As `stoi`, but spectra are normalised, too, and bands not judged alone (Jensen and Taal 2016).

    Shape: [T], [T].   AudioError for silence, and for less than 384 ms of speech.
    """
    return _stoi(reference, estimate, sample_rate, extended=True)


def _stoi(reference: Tensor, estimate: Tensor, sample_rate: int, *, extended: bool) -> float:
    try:
        import pystoi
    except ImportError as error:
        raise ConfigError(
            "STOI needs the pystoi package; pip install 'vocoder[eval]' or leave out stoi and estoi"
        ) from error
    if not reference.any() or not estimate.any():
        raise AudioError("a silent file has no STOI")
    signals = (audio.cpu().double().numpy() for audio in (reference, estimate))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # instead of a made-up score
        try:
            return float(pystoi.stoi(*signals, sample_rate, extended=extended))
        except (RuntimeWarning, ValueError) as error:
            raise AudioError("under 384 ms of speech, too short for STOI") from error
