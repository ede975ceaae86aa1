"""Work on several items at a time on a Ray cluster."""

import logging
import os
import socket
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from vocoder import __version__
from vocoder.cli.files.workers import spans
from vocoder.errors import ConfigError, VocoderError
from vocoder.threads import default_threads

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_ATTEMPTS = 3  # at an item that loses its workers
_PATIENCE = 30.0  # seconds without a worker, until that is said
_ANSWER = 10.0  # seconds until a cluster must answer
_log = logging.getLogger(__name__)


@contextmanager
def completed(
    work: Callable[[_Item], _Result], items: Sequence[_Item], *, workers: int | None, gpus: int = 0
) -> Iterator[Iterator[tuple[int, _Result | VocoderError]]]:
    """An iterator over (index, `work(item)`) as they are done by workers of a Ray cluster.

    The cluster is the one that RAY_ADDRESS names or that this machine belongs to; where there is
    none, one is started on this machine, and the log says so. `work` is sent to each worker once.
    Items of a worker that is lost are given to another one, each alone, three times at most: then
    a VocoderError stands for the result. Raises ConfigError if Ray is missing, VocoderError if the
    cluster cannot run our workers, and what `work` raises.

    Args:
        work: What to do with an item; it is pickled.
        items: The items.
        workers: How many there are at a time, each with a core; by default one for each core.
        gpus: What each has besides.
    """
    ray = _connected(workers or default_threads())
    try:
        resource = "GPU" if gpus else "CPU"
        most = workers or int(ray.cluster_resources().get(resource, 1))
        if gpus and not ray.cluster_resources().get("GPU"):
            raise ConfigError("--engine ray: the cluster has no GPU; use --device cpu")
        new = ray.remote(num_cpus=1, num_gpus=gpus)(_Worker).remote
        sent = ray.put(work)
        arguments = ([sent], os.getcwd(), [path for path in sys.path if path], __version__)
        pool = _Pool(ray, lambda: new(*arguments), max(1, min(most, len(items))))
        yield pool.results(items)
    finally:
        ray.shutdown()  # ends the workers, and the cluster if it was started here


class _Worker:
    """An actor that does the work."""

    def __init__(self, work: list[Any], folder: str, path: list[str], version: str) -> None:
        import ray
        import torch

        if version != __version__:
            raise RuntimeError(f"vocoder {__version__} is installed there, here {version}")
        torch.set_num_threads(1)
        with suppress(OSError):  # without the folder, relative paths are not found, by name
            os.chdir(folder)
        sys.path += [part for part in path if part not in sys.path]
        self._work = ray.get(work[0])

    def start(self) -> list[Any]:
        return []

    def every(self, items: Sequence[Any]) -> list[Any]:
        return [self._work(item) for item in items]


class _Pool:
    """Workers of a cluster, each with a group of items at a time."""

    def __init__(self, ray: Any, new: Callable[[], Any], workers: int) -> None:
        self._ray, self._new, self._workers = ray, new, workers
        self._pending: dict[Any, tuple[Any, range]] = {}  # by the reference of the results
        self._alone: deque[int] = deque()  # items of lost workers
        self._attempts: Counter[int] = Counter()

    def results(self, items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Results and errors as they come."""
        groups = spans(len(items), self._workers)
        for _ in range(self._workers):
            self._begin()
        self._require_worker()
        left = len(items)
        while left:
            worker, group, results = self._next()
            if results is None:
                lost = list(self._lost(group))
                left -= len(lost)
                yield from lost
                if group:
                    self._begin()
                elif not self._pending:
                    raise VocoderError("--engine ray: no worker of the cluster is left")
                continue
            left -= len(group)
            again = self._alone.popleft() if self._alone else None
            following = next(groups, None) if again is None else range(again, again + 1)
            if following is not None:
                taken = items[following.start : following.stop]
                self._pending[worker.every.remote(taken)] = worker, following
            yield from zip(group, results, strict=True)

    def _begin(self) -> None:
        worker = self._new()
        self._pending[worker.start.remote()] = worker, range(0)

    def _next(self) -> tuple[Any, range, list[Any] | None]:
        """A worker that has ended, its group and the results; None if it was lost."""
        (done,), _ = self._ray.wait(list(self._pending), num_returns=1)
        worker, group = self._pending.pop(done)
        try:
            return worker, group, self._ray.get(done)
        except self._ray.exceptions.RayActorError as error:
            _log.warning("a worker was lost: %s", _reason(error))
            return worker, group, None
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from error

    def _lost(self, group: range) -> Iterator[tuple[int, VocoderError]]:
        """Take back the items of a lost worker; errors for those that have lost too many."""
        for index in group:
            self._attempts[index] += 1
            if self._attempts[index] < _ATTEMPTS:
                self._alone.append(index)
            else:
                reason = f"{_ATTEMPTS} workers were lost with it, as by a lack of memory"
                yield index, VocoderError(reason)

    def _require_worker(self) -> None:
        """Wait for the first worker. Raises VocoderError if it cannot work."""
        started = list(self._pending)
        done, _ = self._ray.wait(started, timeout=_PATIENCE)
        if not done:
            _log.warning("the Ray cluster has no free core yet; waiting for one")
            done, _ = self._ray.wait(started)
        try:
            self._ray.get(done[0])
        except self._ray.exceptions.RayError as error:
            raise VocoderError(
                f"--engine ray: a worker cannot be started ({_reason(error)}); install the same "
                "version of vocoder on every node"
            ) from error


def _reason(error: Exception) -> str:
    """The last line of an error of Ray's that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _connected(cores: int) -> Any:
    """Ray's module, connected to a cluster; one of so many cores if there is none."""
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ConfigError(f"--engine ray needs {error.name}: pip install 'vocoder[ray]'") from error
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    _require_answer(os.environ.get("RAY_ADDRESS", ""))
    try:
        ray.init(address="auto", **quiet)
    except ConnectionError:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to Ray's makers
        _log.warning("no Ray cluster is running; one is started on this machine, cores: %d", cores)
        ray.init(address="local", num_cpus=cores, include_dashboard=False, **quiet)
    return ray


def _require_answer(address: str) -> None:
    """Raise VocoderError unless somebody listens there: Ray would wait for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:  # "", "auto", "local"
        return
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWER).close()
    except (OSError, ValueError) as error:
        raise VocoderError(
            f"--engine ray: no cluster answers at RAY_ADDRESS={address}; start it, or unset the "
            "variable to start one here"
        ) from error
