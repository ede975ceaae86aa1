"""Watch over the processes of a run: when one ends early, the others end with the reason."""

import multiprocessing
import os
import sys
import threading
import time
from datetime import timedelta
from typing import Any

from torch.distributed import DistError, Store  # type: ignore[attr-defined]

_INTERVAL = 1.0  # seconds between signs of life
_SILENT = 30.0  # without one for so long, a process counts as ended
_GRACE = 30.0  # in which a process ends by itself, and may finish a state that it is saving
_KILLED = 5.0  # silence after which a lost connection means that the process was killed
_FAILED = "failed"


class Watch:
    """Signs of life of the processes of a run, and the reason of the first one that failed.

    A thread writes this process's own signs to `store` and reads those of the others. If another
    process has failed, or been silent for 30 s, and this one is stuck in an exchange with it, the
    thread ends the process with one line and exit code 2: NCCL would wait for ever.
    """

    def __init__(self, store: Store, *, rank: int, size: int) -> None:
        self.store, self.rank, self.size = _own_connection(store), rank, size
        self._reason: tuple[int, str] | None = None
        self._seen = dict.fromkeys((r for r in range(size) if r != rank), (b"", time.monotonic()))
        self._stopped = threading.Event()
        self._beat(0)
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread: from now on this process looks after itself."""
        self._stopped.set()
        self._thread.join()

    def report(self, message: str) -> tuple[int, str]:
        """Tell the others why this process fails; returns rank and reason of the first to fail."""
        self.stop()
        try:
            first = self.store.compare_set(_FAILED, "", f"{self.rank} {message}")
        except DistError:  # the process that keeps the store has ended
            return self._reason or (self.rank, message)
        return _parsed(first)

    def reason(self) -> tuple[int, str]:
        """Rank and reason of the process whose connection was lost; waits for them up to 10 s."""
        until = time.monotonic() + 2 * _KILLED
        while self._reason is None and self._lost(_KILLED) is None and time.monotonic() < until:
            if not self._thread.is_alive():
                break
            time.sleep(0.1)
        self.stop()
        if self._reason:
            return self._reason
        lost = self._lost(_KILLED)
        return (0 if lost is None else lost), "it was killed, or its machine was"

    def _run(self) -> None:
        beats, failed_at = 0, None
        while not self._stopped.wait(_INTERVAL):
            beats += 1
            try:
                self._beat(beats)
            except DistError:
                if self._stopped.wait(_GRACE):
                    return
                self._abort(0, "it was killed, or its machine was")
            now = time.monotonic()
            if self._reason:
                failed_at = failed_at or now
                if now - failed_at > _GRACE:
                    self._abort(*self._reason)
            silent = self._lost(_SILENT)
            if silent is not None:
                self._abort(silent, f"nothing was heard of it for {_SILENT:.0f} s")

    def _beat(self, count: int) -> None:
        """Write a sign of life, and read those of the others."""
        self.store.set(f"alive/{self.rank}", str(count))
        if self._reason is None and self.store.check([_FAILED]):
            self._reason = _parsed(self.store.get(_FAILED))
        for rank, (before, _) in self._seen.items():
            key = f"alive/{rank}"
            value = self.store.get(key) if self.store.check([key]) else b""
            if value != before:
                self._seen[rank] = value, time.monotonic()

    def _lost(self, seconds: float) -> int | None:
        """The process of which nothing was heard for `seconds`, if any."""
        now = time.monotonic()
        silent = (rank for rank, (_, at) in self._seen.items() if now - at > seconds)
        return next(silent, None)

    def _abort(self, rank: int, reason: str) -> None:
        """End this process, whose main thread waits for another one inside a library."""
        print(f"error: {ended(rank, reason)}", file=sys.stderr, flush=True)
        for child in multiprocessing.active_children():
            child.kill()
        os._exit(2)


def _own_connection(store: Store) -> Any:
    """A store that waits for nobody else's requests, where this version of torch can make one."""
    clone = getattr(store, "clone", None)
    if clone is None:
        return store
    own = clone()
    own.set_timeout(timedelta(seconds=_SILENT))
    return own


def ended(rank: int, reason: str) -> str:
    """One line on the end of another process."""
    return f"process {rank} of this run has ended: {reason}"


def _parsed(value: bytes) -> tuple[int, str]:
    rank, _, reason = value.decode(errors="replace").partition(" ")
    return int(rank), reason
