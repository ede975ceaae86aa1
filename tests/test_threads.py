"""Threads: what the command line puts into the environment, and how many CPUs there are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vocoder import threads
from vocoder.threads import available_cpus, cpu_quota, default_threads, prepare_environment

PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}


def control_groups(root: Path, membership: str, files: dict[str, str]) -> Path:
    """A root directory with the files that Linux has for control groups."""
    for name, text in {"proc/self/cgroup": membership, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "250000 100000\n"}, 2.5),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ("0::/\n", {}, None),
        (
            "0::/kube/pod\n",
            {
                "sys/fs/cgroup/kube/cpu.max": "150000 100000",
                "sys/fs/cgroup/kube/pod/cpu.max": "400000 100000",
            },
            1.5,
        ),
        ("0::/not/visible/here\n", {"sys/fs/cgroup/cpu.max": "300000 100000"}, 3.0),
        (
            "5:memory:/m\n4:cpu,cpuacct:/docker/1f\n0::/\n",
            {
                "sys/fs/cgroup/cpu,cpuacct/docker/1f/cpu.cfs_quota_us": "50000\n",
                "sys/fs/cgroup/cpu,cpuacct/docker/1f/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            0.5,
        ),
        (
            "4:cpu,cpuacct:/docker/1f\n",
            {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            2.0,
        ),
        ("4:cpuset:/x\n", {"sys/fs/cgroup/cpuset/cpu.max": "100000 100000"}, None),
        ("damaged\n", {"sys/fs/cgroup/cpu.max": "many 0\n"}, None),
    ],
)
def test_quota_of_control_groups(
    tmp_path: Path, membership: str, files: dict[str, str], expected: float | None
) -> None:
    assert cpu_quota(control_groups(tmp_path, membership, files)) == expected


def test_systems_without_control_groups_have_no_quota(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path) is None


@pytest.mark.parametrize(("quota", "expected"), [(None, 8), (2.5, 2), (0.3, 1), (64.0, 8)])
def test_available_cpus_are_whole_ones(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(threads, "cpu_quota", lambda: quota)
    assert available_cpus() == expected


@pytest.mark.parametrize(
    ("said", "expected"), [("3", 3), ("4,2", 4), ("", 7), ("zero", 7), ("0", 7)]
)
def test_default_threads_are_those_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, said: str, expected: int
) -> None:
    monkeypatch.setattr(threads, "available_cpus", lambda: 7)
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert default_threads() == expected


@pytest.mark.parametrize(
    "said", [{"OMP_WAIT_POLICY": "ACTIVE"}, {"GOMP_SPINCOUNT": "5"}, {"KMP_BLOCKTIME": "200"}]
)
def test_what_the_user_says_about_waiting_is_kept(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, str]
) -> None:
    monkeypatch.delitem(sys.modules, "torch")
    environment = dict(said)
    prepare_environment(environment)
    assert {name: environment.get(name) for name in (*PASSIVE, "GOMP_SPINCOUNT")} == {
        **dict.fromkeys((*PASSIVE, "GOMP_SPINCOUNT")),
        **said,
    }


@pytest.mark.parametrize(("said", "expected"), [({}, "3"), ({"OMP_NUM_THREADS": "5"}, "5")])
def test_a_quota_limits_the_threads_of_openmp(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, str], expected: str
) -> None:
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(threads, "cpu_quota", lambda: 3.9)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    environment = dict(said)
    prepare_environment(environment)
    assert environment["OMP_NUM_THREADS"] == expected


def test_the_environment_of_a_program_that_uses_torch_is_left_alone() -> None:
    environment: dict[str, str] = {}
    prepare_environment(environment)  # torch is imported in this process
    assert environment == {}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-m", "vocoder", "vocode", "a.npy", "-o", "out"], "PASSIVE 0"),
        (["-m", "vocoder", "train", "system=demo"], "PASSIVE 0"),
        (["-c", "from vocoder.cli.app import main\nimport vocoder\nvocoder.load"], "None None"),
    ],
    ids=["vocode", "train", "library"],
)
def test_environment_when_torch_is_imported(
    tmp_path: Path, arguments: list[str], expected: str
) -> None:
    (tmp_path / "torch.py").write_text(
        "import os\nprint(*map(os.environ.get, ('OMP_WAIT_POLICY', 'KMP_BLOCKTIME')))\nos._exit(0)"
    )
    here = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "KMP_", "GOMP_"))}
    paths = os.pathsep.join([str(tmp_path), str(Path(threads.__file__).parents[1])])
    run = subprocess.run(
        [sys.executable, *arguments],
        env={**here, "PYTHONPATH": paths},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.strip() == expected, run.stderr
