"""Compiles kernels for the CPU of this machine."""

import ctypes
import functools
import logging
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from vocoder.errors import ConfigError

_log = logging.getLogger(__name__)
_lock = threading.RLock()


class Cpu(NamedTuple):
    """What kernels need to know of a CPU: floats in a vector, vector registers, and its name."""

    lanes: int
    registers: int
    name: str


@functools.cache
def is_available() -> bool:
    """Whether kernels can be compiled here: llvmlite is installed, and this CPU has vectors."""
    try:
        return _cpu() is not None
    except (ImportError, OSError, RuntimeError) as error:  # no llvmlite, or one that cannot load
        _log.info("no compiled kernels: %s", error)
        return False


def cpu() -> Cpu:
    """The CPU of this machine. Raises ConfigError where kernels cannot be compiled."""
    found = _cpu() if is_available() else None
    if found is None:
        raise ConfigError("compiled kernels need llvmlite: pip install 'vocoder[fast]'")
    return found


@functools.cache
def _cpu() -> Cpu | None:
    import llvmlite.binding as llvm

    with _lock:
        for start in ("initialize_native_target", "initialize_native_asmprinter"):
            getattr(llvm, start)()
        if llvm.get_process_triple().startswith(("aarch64", "arm64")):
            return Cpu(4, 32, "NEON")
        features = llvm.get_host_cpu_features()
    if features.get("avx512f") and features.get("avx512dq") and features.get("avx512vl"):
        return Cpu(16, 32, "AVX-512")
    if features.get("avx2") and features.get("fma"):
        return Cpu(8, 16, "AVX2")
    return None


class Kernel:
    """A compiled kernel: call it with the address of its arguments.

    A call releases Python's lock, so that kernels run in several threads at once.
    """

    def __init__(self, address: int) -> None:
        self.address = address
        self._call = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)

    def __call__(self, *arguments: int | float) -> None:
        """Run it once with these arguments: integers, addresses and floats."""
        table = np.zeros(len(arguments) + 1, dtype=np.int64)
        fill(table, self, arguments)
        self._call(table.ctypes.data)

    def run(self, table: int) -> None:
        """Run it once with the arguments at the address `table`."""
        self._call(table)


def fill(row: "np.ndarray[Any, np.dtype[np.int64]]", kernel: Kernel, values: Any) -> None:
    """Write the entries of one call into `row`: the kernel's address, then its arguments."""
    row[0] = kernel.address
    for place, value in enumerate(values, 1):
        if isinstance(value, float):
            row[place : place + 1].view(np.float32)[0] = value
        else:
            row[place] = value


def compiled(write: Callable[..., None], *settings: int) -> Kernel:
    """The kernel whose code `write(code, *settings)` writes; compiled once in a process.

    Raises ConfigError where kernels cannot be compiled.
    """
    with _lock:
        return _compiled(write, settings, cpu())


@functools.cache
def _compiled(write: Callable[..., None], settings: tuple[int, ...], machine: Cpu) -> Kernel:
    from llvmlite import ir

    from vocoder.kernels.jit.code import Code

    module = ir.Module(name=f"{write.__module__}.{write.__name__}")
    with Code(module, "kernel", machine.lanes) as code:
        write(code, *settings)
    engine = _engine(str(module))
    _engines.append(engine)
    return Kernel(engine.get_function_address("kernel"))


_engines: list[Any] = []  # they own the code


def _engine(text: str) -> Any:
    import llvmlite.binding as llvm

    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        jit=True,
    )
    module = llvm.parse_assembly(text)
    module.triple = machine.triple
    module.verify()
    tuning = llvm.create_pipeline_tuning_options(speed_level=2)
    # The code is written in vectors already, and its loops have the sizes that they should have.
    tuning.loop_vectorization = tuning.slp_vectorization = tuning.loop_unrolling = False
    passes = llvm.create_pass_builder(machine, tuning)
    passes.getModulePassManager().run(module, passes)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return engine
