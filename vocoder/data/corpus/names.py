"""Names of files that were made from a recording: what other programs add to its name."""

import itertools
import re
from collections.abc import Iterator

_PART = re.compile(r"[^-_.]+")
# Words that stand next to the recording's name, as in LJSpeech-mel-u01, u01-feats and u01.wav.
_WORDS = frozenset(
    {"mel", "mels", "melspec", "melspectrogram", "logmel", "spec", "spectrogram"}
    | {"feat", "feats", "features", "wav", "flac", "mp3", "ogg"}
)


def recording_names(stem: str) -> Iterator[str]:
    """Names of recordings that a file with this stem may belong to, apart from the stem itself.

    The name of the recording stands before, behind or between words for a mel: `u01` in
    `LJSpeech-mel-u01`, `u01_mel`, `mel-u01-feats` and `u01.wav`.
    """
    words = [part.span() for part in _PART.finditer(stem) if part.group().lower() in _WORDS]
    starts = [0, *(end + 1 for _, end in words)]
    ends = [*(start - 1 for start, _ in words), len(stem)]
    spans = itertools.product(starts, ends)
    return (stem[a:b] for a, b in spans if a < b and (a, b) != (0, len(stem)))
