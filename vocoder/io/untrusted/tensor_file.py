"""Files of tensors: those of `torch.save`, and safetensors."""

import contextlib
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vocoder.errors import VocoderError
from vocoder.io.untrusted.container import inspect_torch, numpy_allowed
from vocoder.io.untrusted.messages import first_line


def load_torch(path: Path, kind: str = "file") -> Any:
    """Load a torch file of plain values, dense CPU tensors, NumPy arrays and NumPy scalars.

    Its content is inspected before anything is made of it. `kind` names the file in messages.
    Raises ProgramCodeError if the file names classes or functions of a program, VocoderError for
    anything else that is refused.
    """
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's advise to run the code in the file
            has_numpy = inspect_torch(file, os.fstat(file.fileno()).st_size)
            file.seek(0)
            with numpy_allowed() if has_numpy else contextlib.nullcontext():
                return torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise VocoderError(f"{path}: no such {kind}") from error
    except OSError as error:
        raise VocoderError(f"{path}: cannot be read ({error.strerror or error})") from error
    except VocoderError as error:
        error.args = (f"{path}: {error}",)
        raise
    except Exception as error:  # what a damaged file raises depends on where it is damaged
        # Only the kind of error: torch's messages explain how to run the code in the file.
        raise VocoderError(f"{path}: damaged {kind} ({type(error).__name__})") from error


def load_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Load the tensors of a safetensors file and its metadata; raises VocoderError."""
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except FileNotFoundError as error:
        raise VocoderError(f"{path}: no such file") from error
    except OSError as error:
        raise VocoderError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (SafetensorError, ValueError, TypeError, AttributeError) as error:
        raise VocoderError(
            f"{path}: damaged or cut short, or no safetensors file ({first_line(error)})"
        ) from error
