"""Signal processing as pure functions from tensor to tensor."""

from typing import TYPE_CHECKING

from vocoder import lazy_exports

if TYPE_CHECKING:
    from vocoder.dsp.cqt import CQTSpec as CQTSpec, cqt as cqt, cqt_kernels as cqt_kernels
    from vocoder.dsp.excitation import (
        harmonic_sines as harmonic_sines,
        minimum_phase as minimum_phase,
        pulse_train as pulse_train,
    )
    from vocoder.dsp.filterbank import (
        hz_to_mel as hz_to_mel,
        mel_filterbank as mel_filterbank,
        mel_to_hz as mel_to_hz,
    )
    from vocoder.dsp.lowpass import (
        band_limit as band_limit,
        downsample2 as downsample2,
        kaiser_sinc as kaiser_sinc,
        upsample2 as upsample2,
    )
    from vocoder.dsp.phase import (
        group_delay as group_delay,
        instantaneous_frequency as instantaneous_frequency,
        instantaneous_phase as instantaneous_phase,
    )
    from vocoder.dsp.pitch import Pitch as Pitch, track_pitch as track_pitch
    from vocoder.dsp.pqmf import (
        pqmf_analysis as pqmf_analysis,
        pqmf_filters as pqmf_filters,
        pqmf_synthesis as pqmf_synthesis,
    )
    from vocoder.dsp.resample import resample as resample
    from vocoder.dsp.resolutions import Resolution as Resolution
    from vocoder.dsp.stft import (
        hann_window as hann_window,
        istft as istft,
        magnitude as magnitude,
        overlap_add as overlap_add,
        pad_reflect as pad_reflect,
        stft as stft,
    )
    from vocoder.dsp.wavelet import haar as haar

# Functions that are called like their module: imported now, or the module would hide them.
from vocoder.dsp.cqt import cqt as cqt
from vocoder.dsp.resample import resample as resample
from vocoder.dsp.stft import stft as stft

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "vocoder.dsp.cqt": ["CQTSpec", "cqt", "cqt_kernels"],
        "vocoder.dsp.excitation": ["harmonic_sines", "minimum_phase", "pulse_train"],
        "vocoder.dsp.filterbank": ["hz_to_mel", "mel_filterbank", "mel_to_hz"],
        "vocoder.dsp.lowpass": ["band_limit", "downsample2", "kaiser_sinc", "upsample2"],
        "vocoder.dsp.phase": ["group_delay", "instantaneous_frequency", "instantaneous_phase"],
        "vocoder.dsp.pitch": ["Pitch", "track_pitch"],
        "vocoder.dsp.pqmf": ["pqmf_analysis", "pqmf_filters", "pqmf_synthesis"],
        "vocoder.dsp.resample": ["resample"],
        "vocoder.dsp.resolutions": ["Resolution"],
        "vocoder.dsp.stft": [
            "hann_window",
            "istft",
            "magnitude",
            "overlap_add",
            "pad_reflect",
            "stft",
        ],
        "vocoder.dsp.wavelet": ["haar"],
    },
)
