"""How the C library keeps memory that was freed."""

from functools import cache

import torch

_LARGEST = (32 << 20) - (64 << 10)  # bytes; glibc keeps no larger block


@cache
def keep_freed_memory() -> None:
    """Let glibc keep freed blocks of up to 32 MB for later ones; nothing elsewhere.

    By default it returns blocks of over 128 KB to the system at once, and the next tensor of that
    size costs a page fault every 4 KB: a sixth of the time of a source-filter model. Freeing a
    large block, which need not be written to, raises that limit to its size for the process.
    """
    torch.empty(_LARGEST, dtype=torch.uint8, device="cpu")
