"""Failures of the machine that a run ends with in one line: disk, memory, killed processes."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vocoder.errors import VocoderError

_RESUME = "then repeat the command, which resumes from the newest state"
_FIXES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), f"free space, {_RESUME}"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "check the permissions"),
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR), "a file is where a folder is needed"),
    errno.ENOENT: "it may have been removed during the run",
}
# Not all are torch.OutOfMemoryError: allocations on the CPU and those of CUDA's libraries.
_NO_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory|ALLOC_FAILED")


@contextmanager
def failures_in_one_line(output: object) -> Iterator[None]:
    """Turn failures of the machine within the block into a VocoderError with the fix.

    Those are errors of files (a full disk), too little memory, and loader workers that were killed.
    Other errors pass: they are faults of the program and need their traceback. `output`, the folder
    of the run, stands for a file that an error does not name.
    """
    try:
        yield
    except OSError as error:
        raise file_error(error, output) from error
    except (MemoryError, RuntimeError) as error:
        sentence = _explanation(error)
        if sentence is None:
            raise
        raise VocoderError(sentence) from error


def file_error(error: OSError, output: object) -> VocoderError:
    """One line on an error of a file, which is `output` unless the error names another."""
    reason = error.strerror or str(error).split("\n", 1)[0] or type(error).__name__
    fix = _FIXES.get(error.errno or 0)
    return VocoderError(f"{error.filename or output}: {reason}{f'; {fix}' if fix else ''}")


def _explanation(error: MemoryError | RuntimeError) -> str | None:
    """One line on an error of memory or of a loader worker; None for any other."""
    text = str(error)
    first = text.split("\n", 1)[0].strip()
    if first.startswith("DataLoader worker"):
        return (
            f"{first.rstrip('.')}: a process that reads the data was ended from outside, mostly "
            "because memory ran out; lower trainer.workers or data.batch_size"
        )
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or _NO_MEMORY.search(text):
        asked = re.search(r"tried to allocate ([\d.]+ \w+)", text, re.IGNORECASE)
        amount = f" (for {asked[1]} more)" if asked else ""
        return f"memory ran out{amount}; lower data.batch_size, data.segment or trainer.workers"
    return None
