"""The shell in which tests/test_docs.py runs the commands of the manual.

Importing torch takes most of the time of a short command. So one process imports it, and what a
shell block starts is a fork of that process with its own arguments, folder, streams and
environment. The shell is bash: pipes, patterns and redirections are those that a reader has.

Run as a program with the path of a socket, this is that process.
"""

import gc
import itertools
import json
import os
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
import traceback
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
PROGRAMS = ("vocoder", "python", "torchrun", "make", "pip", "ffplay", "aplay")

SETTING = re.compile(r"[\w.+~]+=")  # of `vocoder train`

# What stands in the PATH under each of these names: it asks the server, and ends as the fork does.
_CLIENT = """#!{python} -IS
import json, os, socket, sys
request = [sys.argv[0], sys.argv[1:], os.getcwd(), dict(os.environ)]
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [json.dumps(request).encode()], [0, 1, 2])
    server.shutdown(socket.SHUT_WR)
    code = server.recv(1)
sys.exit(code[0] if code else 1)
"""


class Result(NamedTuple):
    """What a shell block did; `output` is what came on both stdout and stderr."""

    code: int
    output: str


class Shell:
    """bash with the programs of the manual; use it as a context manager.

    What commands do depends on the mode. "full" is all that they do. "compose" runs all but
    trainings and recipes, of which it composes the configuration. "parse" checks the options.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = folder / "socket"

    def __enter__(self) -> "Shell":
        programs = self.folder / "bin"
        programs.mkdir()
        self.client = programs / "vocoder"
        self.client.write_text(_CLIENT.format(python=sys.executable, address=str(self.address)))
        self.client.chmod(0o755)
        for name in PROGRAMS[1:]:
            (programs / name).symlink_to(self.client)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        self.server = subprocess.Popen(
            [sys.executable, __file__, str(self.address)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=environment,
        )
        assert self.server.stdout is not None
        assert self.server.stdout.readline() == b"ready\n"
        self.environment = {
            **environment,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "ROOT": str(ROOT),
            "FIXTURES": str(ROOT / "tests" / "importers" / "fixtures"),
            "COLUMNS": "100",
        }
        return self

    def __exit__(self, *_: object) -> None:
        self.server.terminate()
        self.server.wait()
        assert self.server.stdout is not None
        self.server.stdout.close()

    def furnish(self, folder: Path) -> None:
        """Put into an empty folder what a reader has in a checkout."""
        ignored = shutil.ignore_patterns("__pycache__", "out", "runs")
        shutil.copytree(ROOT / "egs", folder / "egs", ignore=ignored)
        recipes = folder / "recipes"
        recipes.mkdir()
        for source in (ROOT / "recipes").iterdir():
            if source.is_file():
                (recipes / source.name).symlink_to(source)
            elif (source / "run.sh").exists():
                (recipes / source.name).mkdir()
                (recipes / source.name / "run.sh").symlink_to(self.client)

    def run(self, script: str, folder: Path, *, mode: str, timeout: float) -> Result:
        """Run a block of commands; the first that fails ends it."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=folder,
            env={**self.environment, "MANUAL_MODE": mode},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            text=True,
        )
        return Result(done.returncode, done.stdout)


# ---------------------------------------------------------------------------------- the server


def serve(address: str) -> None:
    """Import what commands need, then answer every request by a fork, until terminated."""
    import torch

    import vocoder
    import vocoder.evaluation.report
    import vocoder.importers.importer  # noqa: F401
    from vocoder.training.run import compose

    torch.set_num_threads(1)  # with more, what is forked waits for threads that it does not have
    _parse(["info"])
    compose(["system=demo", "data.manifest=none"])
    vocoder.load()
    vocoder.load_extender()
    gc.freeze()  # or a collection in a fork copies all pages
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        print("ready", flush=True)
        while True:
            connection, _ = server.accept()
            if os.fork() == 0:
                server.close()
                _answer(connection)
            connection.close()


def _answer(connection: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    data, streams, _, _ = socket.recv_fds(connection, 65536, 3)
    while more := connection.recv(65536):
        data += more
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    program, arguments, folder, environment = json.loads(data)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [str(Path(entry).resolve()) for entry in environment["PYTHONPATH"].split(":")]
    code = 1
    try:
        code = _run(Path(program), arguments, environment["MANUAL_MODE"])
    except SystemExit as stop:
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:  # nobody reads it any more
            pass
        connection.sendall(bytes([code & 255]))
        os._exit(0)


def _run(program: Path, arguments: list[str], mode: str) -> int:
    if program.name == "run.sh":
        script = str(ROOT / "recipes" / program.parent.name / "run.sh")
        return (
            subprocess.call([script, *arguments]) if mode == "full" else _recipe(script, arguments)
        )
    if program.name == "torchrun":
        arguments = arguments[arguments.index("-m") + 2 :]
    if program.name in ("vocoder", "torchrun"):
        return _vocoder(arguments, mode)
    if program.name == "python":
        return _python(arguments, mode)
    if program.name == "make":  # that its targets are there
        os.environ["PATH"] = os.environ["PATH"].partition(":")[2]  # without this one
        return subprocess.call(["make", "-n", "-C", str(ROOT), *arguments])
    if program.name == "pip":
        return _pip(arguments)
    while os.read(0, 65536):  # a player
        pass
    return 0


def _vocoder(arguments: list[str], mode: str) -> int:
    from vocoder.cli.app import main

    if mode == "parse":
        return _parse(arguments)
    if arguments[:1] == ["train"] and mode == "compose":
        choices = _combinations(arguments[1:])
        if all(SETTING.match(argument) for argument in choices[0]):
            return _compose(choices)
        arguments = [*arguments, "--cfg", "job"]
    elif "train" in arguments and mode == "compose":  # behind other options
        arguments = [*arguments, "--cfg", "job"]
    sys.argv = ["vocoder", *arguments]
    main()
    return 0


def _compose(choices: list[list[str]]) -> int:
    """Compose what each of these lines of settings would train."""
    from vocoder.training.run import compose

    for settings in choices:
        try:
            compose(settings)
        except Exception as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    return 0


def _parse(arguments: list[str]) -> int:
    """Check a command line without running it."""
    import typer

    from vocoder.cli.app import app

    command: Any = typer.main.get_command(app)
    context = command.make_context("vocoder", list(arguments))
    rest = [*context._protected_args, *context.args]
    while hasattr(command, "commands"):
        name, *rest = rest
        command = command.commands[name]
        context = command.make_context(name, rest, parent=context)
        rest = [*context._protected_args, *context.args]
    return 0


def _combinations(arguments: list[str]) -> list[list[str]]:
    """The command lines that -m stands for."""
    if "-m" not in arguments:
        return [arguments]
    choices = []
    for argument in arguments:
        key, equals, values = argument.partition("=")
        split = equals and "[" not in values
        choices.append([f"{key}={v}" for v in values.split(",")] if split else [argument])
    return [[a for a in line if a != "-m"] for line in itertools.product(*choices)]


def _python(arguments: list[str], mode: str) -> int:
    if arguments[:1] == ["-m"]:
        return _vocoder(arguments[2:], mode) if arguments[1] == "vocoder" else 1
    source = Path(arguments[0]).read_text(encoding="utf-8")
    if mode == "parse":
        compile(source, arguments[0], "exec")
        return 0
    sys.argv = list(arguments)
    sys.path.insert(0, str(Path(arguments[0]).parent.resolve()))
    runpy.run_path(arguments[0], run_name="__main__")
    return 0


def _pip(arguments: list[str]) -> int:
    """Check that the extras exist which `pip install` names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extras in re.findall(r"\[([^\]]*)\]", " ".join(arguments)):
        unknown = set(extras.split(",")) - project["optional-dependencies"].keys()
        if unknown:
            print(f"no extra {sorted(unknown)}", file=sys.stderr)
            return 1
    return 0


def _recipe(script: str, arguments: list[str]) -> int:
    """Check the options of a recipe, and that what it would train composes."""
    usage = subprocess.run([script, *arguments, "--help"], capture_output=True, text=True)
    settings = [argument for argument in arguments if SETTING.match(argument)]
    if "[HYDRA_OVERRIDE …]" not in usage.stdout:  # scripts that take a corpus and settings alone
        text = Path(script).read_text(encoding="utf-8")
        unknown = [argument for argument in arguments[1:] if argument not in settings]
        if unknown or "[HYDRA_OVERRIDE …]" not in text:
            print(usage.stderr, unknown, file=sys.stderr)
            return 1
        system = re.search(r"--system (\w+)", text)
    else:
        if usage.returncode:
            return usage.returncode
        system = re.search(r"what to train.*\(default (\w+)\)", usage.stdout)
        if "--system" in arguments:
            settings.insert(0, f"system={arguments[arguments.index('--system') + 1]}")
    if not settings:  # its own system: other tests build all of them
        return 0
    if system and not any(setting.startswith("system=") for setting in settings):
        settings.insert(0, f"system={system[1]}")
    if not system:  # it trains several
        settings.insert(0, "system=demo")
    return _compose([["data.manifest=none", *settings]])


if __name__ == "__main__":
    serve(sys.argv[1])
