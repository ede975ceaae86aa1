"""The record of a run: `config.yaml`, and `run.json` with a session for each start and resume."""

import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vocoder import __version__
from vocoder.io.atomic import replacing_file
from vocoder.training.runs.folder import RECORD_NAME, read_record
from vocoder.training.runs.settings import CONFIG_NAME, changed_settings, read_settings

_PACKAGE = Path(__file__).parents[2]


def record_session(
    folder: Path, config: Mapping[str, Any], *, step: int, device: torch.device, processes: int
) -> None:
    """Write `config.yaml`, and add to `run.json` that a run starts or resumes here and now.

    Both are written atomically. Raises VocoderError if they cannot be written, ConfigError if the
    `run.json` of earlier sessions is damaged.

    Args:
        folder: Folder of the run.
        config: The plain configuration, every reference resolved.
        step: Steps that are done.
        device: Device of this process.
        processes: Processes that train together.
    """
    record = read_record(folder) or {"format": 1, "name": config["name"], "sessions": []}
    session = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "first_step": step,
        "command": f"{sys.argv[0]} {shlex.join(sys.argv[1:])}".strip(),
        "directory": os.getcwd(),
        "seed": config["seed"],
        "git": {
            "package": git_state(_PACKAGE, tracked="__init__.py"),
            "directory": git_state(Path.cwd()),
        },
        "versions": {
            "python": platform.python_version(),
            "vocoder": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "machine": _machine(device, processes),
    }
    if record["sessions"]:
        changes = changed_settings(read_settings(folder), config)
        session["changed"] = {name: list(pair) for name, pair in changes.items()}
    record["sessions"].append(session)
    _write_config(folder / CONFIG_NAME, config)
    with replacing_file(folder / RECORD_NAME) as temporary:
        text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
        temporary.write_text(text, encoding="utf-8")


def git_state(folder: Path, *, tracked: str = ".") -> dict[str, Any]:
    """Commit of the repository around `folder`, and whether tracked files differ from it.

    Without a repository, or one that does not track `tracked` in the folder, both are None, and
    "reason" says why.
    """
    try:
        _git(folder, "ls-files", "--error-unmatch", tracked)
        commit = _git(folder, "rev-parse", "HEAD")
        dirty = bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))
    except FileNotFoundError:
        reason = "git is not installed"
    except subprocess.TimeoutExpired:
        reason = "git took more than ten seconds"
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip()
        outside = "not a git repository" in said or "did not match" in said
        reason = "not in a git repository" if outside else said.split("\n")[0] or "git failed"
    else:
        return {"commit": commit, "dirty": dirty}
    return {"commit": None, "dirty": None, "reason": reason}


def _git(folder: Path, *arguments: str) -> str:
    # Nothing is written, not even git's index: a run must not disturb what goes on beside it.
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=10, env=environment
    )
    return done.stdout.strip()


def _write_config(path: Path, config: Mapping[str, Any]) -> None:
    """Write a configuration as YAML that needs nothing else to be read."""
    import yaml

    with replacing_file(path) as temporary:
        text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
        temporary.write_text(text, encoding="utf-8")


def _machine(device: torch.device, processes: int) -> dict[str, Any]:
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "host": platform.node(),
        "system": platform.platform(),
        "cpu": _cpu(),
        "threads": torch.get_num_threads(),
        "device": str(device),
        "gpu": gpu,
        "processes": processes,
    }


def _cpu() -> str:
    """Name of the processor."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line)
    return next(names, platform.machine())
