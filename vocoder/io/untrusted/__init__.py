"""Readers of files from anywhere: JSON, .npy, .npz, torch and safetensors files.

The size of a file bounds what it may claim, which is checked before anything is allocated, and
nothing in a file is executed. What a reader cannot accept is a VocoderError of one line that names
the file.
"""

from vocoder.io.untrusted.json_text import parse_json, read_json
from vocoder.io.untrusted.messages import first_line
from vocoder.io.untrusted.numpy_file import NPY_MAGIC, load_npy, load_npz, read_npy_header
from vocoder.io.untrusted.stand_ins import ProgramCodeError
from vocoder.io.untrusted.tensor_file import load_safetensors, load_torch

__all__ = [
    "NPY_MAGIC",
    "ProgramCodeError",
    "first_line",
    "load_npy",
    "load_npz",
    "load_safetensors",
    "load_torch",
    "parse_json",
    "read_json",
    "read_npy_header",
]
