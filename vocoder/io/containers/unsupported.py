"""Files that libsndfile does not read: what they are, and the command that converts them."""

import re
import shlex
from pathlib import Path

from vocoder.io.members import Member

_WITH_FFMPEG = {  # offset and first bytes → name
    (4, b"ftyp"): "an MPEG-4 file (m4a, mp4)",
    (0, b"\x1a\x45\xdf\xa3"): "a WebM or Matroska file",
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"): "a Windows Media file (wma, asf)",
    (0, b"#!AMR"): "an AMR file",
    (0, b"MAC "): "a Monkey's Audio file",
    (0, b"wvpk"): "a WavPack file",
    (0, b"TTA1"): "a True Audio file",
    (0, b"MPCK"): "a Musepack file",
    (0, b"MP+"): "a Musepack file",
    (0, b"DSD "): "a DSD file",
    (0, b"FRM8"): "a DSD file",
    (0, b".RMF"): "a RealAudio file",
    (0, b"FLV\x01"): "a Flash video",
    (0, b"\x0b\x77"): "an AC-3 file",
    (0, b"ADIF"): "an AAC file",
    (8, b"AVI LIST"): "an AVI video",
    (0, b"\xf0\x7e"): "a MIDI sample dump",
}
KNOWN = (
    *(b"RIFF", b"RIFX", b"RF64", b"OggS", b"fLaC", b"FORM", b"caff", b".snd", b"NIST_1A", b"riff"),
)
"""How files begin whose format libsndfile surely knows."""
_OTHER = {
    b"version https://git-lfs": "a Git LFS pointer, not the file; run `git lfs pull`",
    b"PK\x03\x04": "a zip archive; unpack it",
    b"\x1f\x8b": "a gzip archive; unpack it",
    b"\x89PNG": "an image, not audio",
    b"\xff\xd8\xff": "an image, not audio",
    b"%PDF": "a document, not audio",
    b"\x93NUMPY": "a NumPy array, not audio; `vocoder vocode` takes mels",
}


def is_mistaken(head: bytes) -> bool:
    """Whether libsndfile should not be given a file with these first bytes, as it reads it wrong.

    AAC frames (ADTS) look much like those of MP3; its reader of sample dumps is unfinished.
    """
    return _is_aac(head) or head[:2] == b"\xf0\x7e"


def _is_aac(head: bytes) -> bool:
    return len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0


def explanation(path: Path | Member, reason: str) -> str:
    """Why a file is not read, and what to do; `reason` is libsndfile's."""
    with path.open("rb") as file:
        head = file.read(512)
    convert = "cannot be read here; convert it: " + _ffmpeg(path)
    for (offset, magic), name in _WITH_FFMPEG.items():
        if head[offset : offset + len(magic)] == magic:
            return f"{name}, which {convert}"
    if _is_aac(head):
        return f"an AAC file, which {convert}"
    for magic, text in _OTHER.items():
        if head.startswith(magic):
            return text
    if not re.search(rb"[^\t-\r\x1b -~\x80-\xff]", head):
        return "cannot read audio, this is text"
    if any(word in reason for word in ("unimplemented", "unsupported", "unknown")):
        return f"an encoding that {convert}"
    # It was opened as something else, as the suffix says, and failed in a way of no interest.
    known = "malformed" in reason or head.startswith(KNOWN)
    again = f"copy it again, or convert it: {_ffmpeg(path)}"
    advice = again if known else "its content is of no known audio format"
    return f"cannot read audio ({reason.rstrip('.')}); {advice}"


def _ffmpeg(path: Path | Member) -> str:
    """The command that converts a file, beside it."""
    if isinstance(path, Member):
        return "`ffmpeg -i FILE FILE.flac` before it is put into the shard"
    target = path.with_suffix(".flac" if path.suffix.lower() == ".wav" else ".wav")
    return f"ffmpeg -i {shlex.quote(str(path))} {shlex.quote(str(target))}"
