"""Errors a user can cause. The command line prints them on one line and exits with code 2."""


class VocoderError(Exception):
    """Base class of errors that are caused by the input and not by the program."""


class ConfigError(VocoderError):
    """A configuration that cannot be built: unknown key, impossible combination, missing extra."""


class AudioError(VocoderError):
    """An audio file or array that cannot be used."""


class MelMismatchError(VocoderError):
    """A mel spectrogram that was not made the way the model expects."""


class CheckpointError(VocoderError):
    """A model directory or training state that cannot be read."""
