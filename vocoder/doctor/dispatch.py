"""What a thing is, told from its content, and the examination for it."""

from pathlib import Path

from vocoder.checkpoint import CONFIG_NAME, GRIFFIN_LIM, find_model, is_builtin, load_config
from vocoder.doctor.examination import Examination
from vocoder.doctor.mels.examine import MelContext, examine_mel
from vocoder.errors import CheckpointError, ConfigError, VocoderError
from vocoder.features.mel import MelSpec
from vocoder.importers.common.weights import find_file
from vocoder.io.audio import probe
from vocoder.io.mel_file import read_mel_array
from vocoder.io.untrusted import NPY_MAGIC
from vocoder.training.runs.folder import run_folders


def examine(thing: str, model: str = "default", recording: Path | None = None) -> Examination:
    """Examine a mel file, an audio file, a model or a run.

    `model` is what mels are compared with, by its name or directory; `recording` is that of a mel.
    Raises VocoderError for what cannot be read, or is none of these.
    """
    path = Path(thing)
    if recording is not None:
        return _of_recording(path, model, recording)
    if path.is_dir() and not (path / CONFIG_NAME).is_file() and not holds_checkpoint(path):
        from vocoder.doctor.run import examine_run

        return examine_run(path)
    if not path.exists() and (path.suffix or len(path.parts) > 1):
        raise VocoderError(f"{thing}: no such file")
    if path.is_dir() or not path.exists():
        from vocoder.doctor.model import examine_model

        return examine_model(thing)
    return _of_file(path, model)


def holds_checkpoint(folder: Path) -> bool:
    """Whether a folder holds another project's checkpoint, and no run."""
    try:
        return next(run_folders(folder), None) is None and find_file(folder).is_file()
    except CheckpointError:
        return False


def _of_file(path: Path, model: str) -> Examination:
    try:
        with path.open("rb") as file:
            head = file.read(300)
    except OSError as error:
        raise VocoderError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not head:
        raise VocoderError(f"{path}: the file is empty; copy or write it again")
    if head.startswith(NPY_MAGIC):
        return examine_mel(path, mel_context(model))
    if head.startswith((b"PK\x03\x04", b"\x80")) or head[8:9] == b"{":
        try:
            read_mel_array(path)
        except VocoderError:
            from vocoder.doctor.model import examine_model

            return examine_model(str(path))
        return examine_mel(path, mel_context(model))
    if path.suffix.lower() == ".onnx":
        from vocoder.doctor.model import examine_model

        return examine_model(str(path))
    from vocoder.doctor.audio import examine_audio

    return examine_audio(path)


def _of_recording(path: Path, model: str, recording: Path) -> Examination:
    """Examine a mel beside its recording: how it was made, or what a prediction lacks."""
    if not path.is_file():
        raise VocoderError(f"{path}: no such file")
    probe(recording)
    found = examine_mel(path, mel_context(model, recording))
    unlike = any(each.name == "recording" and each.severity == "problem" for each in found.findings)
    if not unlike:
        return found
    from vocoder.doctor.pair import examine_pair

    return examine_pair(path, recording, model=model)


def mel_context(model: str, recording: Path | None = None) -> MelContext:
    """What a mel is compared with: a model's settings, and its recording.

    Raises CheckpointError if there is no such model, ConfigError if it takes no mel.
    """
    if is_builtin(model, GRIFFIN_LIM):
        return MelContext(model, MelSpec.preset("hifigan_22k_80"), recording)
    spec = load_config(find_model(model)).mel
    if not isinstance(spec, MelSpec):
        raise ConfigError(f"--model {model}: it takes no mel; a vocoder is needed")
    return MelContext(model, spec, recording)
