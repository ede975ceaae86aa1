"""CPUs that this process may use, and how its threads wait for each other.

Nothing here runs on import: the command line calls it, a program that uses the library decides for
itself.
"""

import math
import os
import sys
from collections.abc import MutableMapping
from pathlib import Path

# Threads of OpenMP that wait sleep, instead of spinning on a core that another process could use:
# GNU's runtime reads the first, those of LLVM and Intel the second (milliseconds).
_PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
_WAITING = (*_PASSIVE, "GOMP_SPINCOUNT")


def prepare_environment(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let OpenMP's threads wait passively, and count only CPUs that a container may use.

    This holds for this process, if it has not imported torch yet, and for those that it starts.
    What the environment says already has precedence. NumPy's own thread pool is left out: nothing
    uses it, and a process with a single thread can be forked.
    """
    if "torch" in sys.modules:  # too late, and then the environment is somebody else's
        return
    if not any(name in environment for name in _WAITING):
        environment.update(_PASSIVE)
    cpus = available_cpus()
    if cpus < _affinity():  # of quotas, OpenMP knows nothing
        environment.setdefault("OMP_NUM_THREADS", str(cpus))
    environment.setdefault("OPENBLAS_NUM_THREADS", "1")


def default_threads() -> int:
    """Number of threads to use where nobody says: OMP_NUM_THREADS, or the available CPUs."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) else available_cpus()


def available_cpus() -> int:
    """Number of CPUs that this process may keep busy: its affinity, less where there is a quota.

    A quota of 2.5 CPUs, as containers have, counts as 2, and one below 1 as 1.
    """
    quota = cpu_quota()
    return _affinity() if quota is None else max(1, min(_affinity(), math.floor(quota)))


def cpu_quota(root: Path = Path("/")) -> float | None:
    """CPUs that the control groups of this process grant, of both versions; None if all.

    `root` has the directories proc and sys. What cannot be read or understood grants all.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    quotas = []
    for line in lines:
        _, controllers, path = (line.split(":", 2) + ["", ""])[:3]
        mounts = [""] if not controllers else [controllers, "cpu"]
        if controllers and "cpu" not in controllers.split(","):
            continue
        for mount in dict.fromkeys(mounts):
            base = root / "sys/fs/cgroup" / mount
            # A container may not see its own path; then its limits are at the root.
            own = base / path.strip("/")
            folders = [own, *own.parents]
            quotas += [_quota(folder) for folder in folders[: folders.index(base) + 1]]
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota(folder: Path) -> float | None:
    """CPUs that one control group grants."""
    for names in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
        try:
            words = [word for name in names for word in (folder / name).read_text().split()]
            quota, period = map(int, words)  # "max 100000" grants all, as does -1
        except (OSError, ValueError):
            continue
        if quota > 0 and period > 0:
            return quota / period
    return None


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
