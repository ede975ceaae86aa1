"""All detectors by name, and `detect`, which runs them."""

from collections.abc import Sequence

from torch import Tensor

from vocoder.errors import AudioError
from vocoder.evaluation.artefacts.analysis import Analysis, Pair
from vocoder.evaluation.artefacts.artefact import Artefact, Detector
from vocoder.evaluation.artefacts.detectors.clicks import find_clicks
from vocoder.evaluation.artefacts.detectors.clipping import find_clipping
from vocoder.evaluation.artefacts.detectors.dropouts import find_dropouts
from vocoder.evaluation.artefacts.detectors.high_band import find_high_band
from vocoder.evaluation.artefacts.detectors.hop_lines import find_hop_lines
from vocoder.evaluation.artefacts.detectors.imaging import find_imaging
from vocoder.evaluation.artefacts.detectors.level import find_level
from vocoder.evaluation.artefacts.detectors.noise_floor import find_noise_floor
from vocoder.evaluation.artefacts.detectors.offset import find_dc
from vocoder.evaluation.artefacts.detectors.pitch_steps import find_pitch_steps
from vocoder.evaluation.artefacts.detectors.sibilants import find_sibilants
from vocoder.evaluation.artefacts.detectors.tones import find_tones
from vocoder.evaluation.artefacts.detectors.tremor import find_tremor

_SHORTEST_SECONDS = 0.1
_LOWEST_RATE = 8000

DETECTORS: dict[str, Detector] = {
    "tones": Detector(
        label="tones in pauses",
        find=find_tones,
        remedy="train longer or with degraded mels; weigh the multi-resolution discriminator more; "
        "give the generator a noise input",
    ),
    "hop_lines": Detector(
        label="tones at the frame rate",
        find=find_hop_lines,
        remedy="up-sample by interpolation and convolution, or by kernels that the stride divides",
    ),
    "imaging": Detector(
        label="mirror images",
        find=find_imaging,
        remedy="use anti-aliased up-sampling and activations, as BigVGAN; train longer",
    ),
    "sibilants": Detector(
        label="sibilants",
        find=find_sibilants,
        remedy="raise f_max of the mel; weigh the multi-resolution discriminator more; train on "
        "full-band recordings",
        needs_reference=True,
    ),
    "high_band": Detector(
        label="high frequencies",
        find=find_high_band,
        remedy="raise f_max of the mel; exclude band-limited recordings from training",
    ),
    "clicks": Detector(
        label="clicks",
        find=find_clicks,
        picture="waveform",
        remedy="synthesise in one piece or stream; look for clicks in the training data",
    ),
    "dropouts": Detector(
        label="dropouts",
        find=find_dropouts,
        picture="waveform",
        remedy="look at the mel there: if it has the gap, the acoustic model is at fault; train on "
        "longer crops",
    ),
    "pitch_steps": Detector(
        label="pitch steps",
        find=find_pitch_steps,
        picture="pitch",
        remedy="give the generator F0 (a source-filter network); train on held notes",
    ),
    "tremor": Detector(
        label="tremor",
        find=find_tremor,
        picture="pitch",
        remedy="give the generator F0 (a source-filter network); train on held notes and longer "
        "crops",
    ),
    "dc": Detector(
        label="DC",
        find=find_dc,
        picture="waveform",
        remedy="remove DC from the training data; train without bias in the last layer",
    ),
    "clipping": Detector(
        label="clipping",
        find=find_clipping,
        picture="waveform",
        remedy="train at a lower level, or normalise the mel's gain; write float files",
    ),
    "level": Detector(
        label="level",
        find=find_level,
        remedy="train with random gains and a mel loss; compare the mels' normalisation",
        needs_reference=True,
    ),
    "noise_floor": Detector(
        label="noise in pauses",
        find=find_noise_floor,
        remedy="train on quiet pauses; lower the floor of the mel's logarithm",
        needs_reference=True,
    ),
}


def detect(
    estimate: Tensor,
    sample_rate: int,
    reference: Tensor | None = None,
    *,
    upsampling: Sequence[int] = (),
    hop_length: int | None = None,
) -> list[Artefact]:
    """Find artefacts in generated audio, in order of time. Shape: [T], [T].

    What the reference has, too, is no artefact. It must be aligned with the estimate and as long.
    Raises AudioError for audio that cannot be examined: shorter than 0.1 s, a sample rate below 8
    kHz, NaN, another length.

    Args:
        estimate: The generated audio.
        sample_rate: Its sample rate in Hz, and that of the reference.
        reference: The recording that it should sound like.
        upsampling: Factors of the generator's up-sampling layers, first to last; without them
            images are looked for at the usual ones.
        hop_length: Samples in a frame of the generator; without it the usual ones are tried.
    """
    check(estimate, sample_rate, "audio")
    if reference is not None:
        check(reference, sample_rate, "reference")
        if len(reference) != len(estimate):
            raise AudioError(
                f"{len(estimate)} samples cannot be compared with a reference of "
                f"{len(reference)}; align them first"
            )
    pair = Pair(
        estimate=Analysis(estimate, sample_rate),
        reference=Analysis(reference, sample_rate) if reference is not None else None,
        upsampling=upsampling,
        hop_length=hop_length,
    )
    found = [artefact for detector in DETECTORS.values() for artefact in detector.find(pair)]
    return sorted(found, key=lambda artefact: (artefact.begin, artefact.end))


def check(audio: Tensor, sample_rate: int, name: str) -> None:
    """Raise AudioError unless the audio can be examined; `name` says which it is."""
    if audio.ndim != 1:
        raise AudioError(f"the {name} must be mono [T], not of shape {list(audio.shape)}")
    if sample_rate < _LOWEST_RATE:
        raise AudioError(f"artefacts are looked for from 8,000 Hz up, not at {sample_rate} Hz")
    if len(audio) < _SHORTEST_SECONDS * sample_rate:
        raise AudioError(f"the {name} has {len(audio)} samples, less than 0.1 s")
    if not bool(audio.isfinite().all()):
        raise AudioError(f"the {name} has NaN or infinite samples")
