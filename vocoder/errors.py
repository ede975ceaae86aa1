"""Errors a user can cause. The command line prints them on one line and exits with code 2."""


class VocoderError(Exception):
    """Base of everything that is the input's fault, not the program's."""


class ConfigError(VocoderError):
    """A configuration that cannot be built: unknown key, impossible combination, missing extra."""


class AudioError(VocoderError):
    """An audio file or array that cannot be used."""


class MelMismatchError(VocoderError):
    """A mel spectrogram that was not made the way the model expects."""


class CheckpointError(VocoderError):
    """A model directory or training state that cannot be read."""
