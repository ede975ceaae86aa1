"""A predicted mel and the recording of its words: is the vocoder or the acoustic model at fault?

The recording's own mel, vocoded, shows what the vocoder can do (copy synthesis). The predicted mel
is compared with that own mel, and both copies with the recording.
"""

from pathlib import Path

from torch import Tensor

from vocoder.doctor.examination import Examination
from vocoder.doctor.pairs.conclusion import PairDiagnosis, Prediction, concluded
from vocoder.doctor.pairs.differences import differences
from vocoder.doctor.pairs.settings import other_settings
from vocoder.doctor.pairs.synthesis import nepers, pitch_of, pitch_shift, scored, vocoded
from vocoder.doctor.pairs.timing import align
from vocoder.errors import AudioError, MelMismatchError
from vocoder.features.mel import MelSpec
from vocoder.features.mel_check import Diagnosis, check_mel, compare_mels
from vocoder.features.mel_conversion import convert, layout
from vocoder.inference.vocoder import Vocoder, load
from vocoder.io.audio import read_audio, resample_soxr
from vocoder.io.mel_file import read_mel

_SHORTEST, _LONGEST = 0.5, 60.0  # seconds


def examine_pair(
    mel_path: str | Path,
    recording_path: str | Path,
    *,
    model: str | Path = "default",
    spec: MelSpec | None = None,
) -> Examination:
    """Say whether a predicted mel or the vocoder is at fault, given a recording of the same words.

    Raises VocoderError for what cannot be read, and ConfigError if the mel is of another length and
    librosa, which aligns it, is missing.

    Args:
        mel_path: Mel file of an acoustic model.
        recording_path: Recording of the words that the mel is of, by the same voice.
        model: The vocoder: a built-in name, a model directory, an exported file.
        spec: Settings of the mel where the file states none; by default those of the model.
    """
    vocoder = load(model)
    file = read_mel(mel_path)
    audio, rate = read_audio(recording_path)
    seconds = audio.shape[-1] / rate
    if not _SHORTEST <= seconds <= _LONGEST:
        raise AudioError(
            f"{recording_path}: lasts {seconds:.1f} s; give the recording of one utterance, "
            f"{_SHORTEST:g} to {_LONGEST:g} s"
        )
    recording = resample_soxr(audio.mean(0), rate, vocoder.sample_rate)
    if float(recording.abs().max()) < 1e-3:
        raise AudioError(f"{recording_path}: is silent; give the recording of the mel's words")
    found = diagnose_pair(file.mel, recording, vocoder, spec=file.spec or spec)
    return Examination(f"{mel_path} and {recording_path}", "pair", found.verdict, found.findings)


def diagnose_pair(
    mel: Tensor, recording: Tensor, vocoder: Vocoder, *, spec: MelSpec | None = None
) -> PairDiagnosis:
    """As `examine_pair`, of a mel and a recording at the vocoder's rate. Shape: [M, F], [T]."""
    own = vocoder.mel(recording, sample_rate=vocoder.sample_rate)
    truth = pitch_of(recording, vocoder.spec, own.shape[1])
    f0 = truth.f0 * truth.voiced
    target = nepers(own, vocoder.spec)
    copy = scored(vocoded(vocoder, own, f0), recording, target, vocoder)
    try:
        given, values = _converted(mel, spec or vocoder.spec, own, vocoder.spec)
    except MelMismatchError as error:
        return concluded(copy, refused=str(error))
    predicted = nepers(given, vocoder.spec)
    timing = align(predicted, target)
    aligned = given[:, timing.index]
    prediction = scored(
        vocoded(vocoder, aligned, f0), recording, predicted[:, timing.index], vocoder
    )
    heard = (pitch_of(x.audio, vocoder.spec, own.shape[1]) for x in (prediction, copy))
    return concluded(
        copy,
        values=values,
        prediction=Prediction(
            timing=timing,
            differences=differences(predicted, target, timing, vocoder.spec),
            settings=other_settings(predicted, recording, vocoder.spec, timing),
            synthesis=prediction,
            pitch=pitch_shift(*heard),
        ),
    )


def _converted(
    mel: Tensor, given: MelSpec, own: Tensor, spec: MelSpec
) -> tuple[Tensor, Diagnosis | None]:
    """A mel as the vocoder takes it, and what its values are, if not what was stated.

    Raises MelMismatchError if there is no exact conversion.
    """
    values = layout(mel.float(), given)
    convert(values[:, :0], given, spec)
    if abs(values.shape[1] - own.shape[1]) > 2:
        found = check_mel(values, given)
    else:
        found = compare_mels(values, given.compress(spec.expand(own)), given)
        if found is not None and found.normalisation is None:
            found = check_mel(values, given)  # whether it is of this recording at all, comes later
    if found is None:
        return convert(values, given, spec), None
    if found.normalisation is None:
        raise MelMismatchError(f"the mel {found.explanation}")
    return convert(values, given.normalised(found.normalisation), spec), found
