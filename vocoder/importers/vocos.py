"""gemelo-ai/vocos with mel features: `pytorch_model.bin` and config.yaml."""

from vocoder.errors import CheckpointError
from vocoder.features.mel import MelSpec
from vocoder.importers.common.project import Checkpoint, Conversion, Project
from vocoder.importers.common.settings import ProjectSettings
from vocoder.importers.common.state_dict import Weights, has, without

# Windows and filterbanks that we compute, and what a training checkpoint adds.
_BUFFERS = r"feature_extractor\.mel_spec\..*|head\.istft\.window"
_TRAINING = r"(multiperioddisc|multiresddisc|melspec_loss)\..*"


def _recognises(weights: Weights) -> bool:
    return has(weights, "backbone.embed.", "backbone.convnext.0.", "head.out.")


def _convert(checkpoint: Checkpoint) -> Conversion:
    settings = checkpoint.settings
    features = _part(settings, "feature_extractor", "MelSpectrogramFeatures")
    backbone = _part(settings, "backbone", "VocosBackbone")
    head = _part(settings, "head", "ISTFTHead")
    backbone.expect(adanorm_num_embeddings=None)
    padding = features.get("padding", "center")
    if head.get("padding", "same") != padding:
        raise CheckpointError(
            f"{settings.path}: padding is {padding!r} in the features, but not in the head"
        )
    generator = {
        "_target_": "vocoder.generators.vocos.Vocos",
        "n_mels": backbone["input_channels"],
        "channels": backbone["dim"],
        "hidden": backbone["intermediate_dim"],
        "blocks": backbone["num_layers"],
        "n_fft": head["n_fft"],
        "hop_length": head["hop_length"],
        "padding": padding,
    }
    return Conversion(
        generator=generator,
        mel=_mel_spec(features),
        weights=without(checkpoint.weights, f"{_BUFFERS}|{_TRAINING}"),
        naming=str,
    )


def _part(settings: ProjectSettings, name: str, supported: str) -> ProjectSettings:
    part = settings.section(name)
    kind = str(part["class_path"]).rpartition(".")[-1]
    if kind != supported:
        raise CheckpointError(
            f"{settings.path}: its {name} is {kind}; only {supported} is supported"
        )
    return part.section("init_args")


def _mel_spec(features: ProjectSettings) -> MelSpec:
    """The project's front end, with its defaults; forks add the fields of the mel filters."""
    n_fft = features.get("n_fft", 1024)
    values = {
        "sample_rate": features.get("sample_rate", 24000),
        "n_fft": n_fft,
        "hop_length": features.get("hop_length", 256),
        "win_length": n_fft,
        "n_mels": features.get("n_mels", 100),
        "f_min": features.get("f_min", 0.0),
        "f_max": features.get("f_max", None),
        "mel_scale": features.get("mel_scale", "htk"),
        "norm": features.get("norm", None) or "none",
        "log_floor": 1e-7,
        "padding": features.get("padding", "center"),
    }
    return MelSpec.from_dict(values, str(features.path))


PROJECT = Project(
    title="gemelo-ai/vocos",
    settings=("config.yaml", "config.yml"),
    recognises=_recognises,
    convert=_convert,
)
