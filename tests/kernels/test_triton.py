"""The Triton kernel of the anti-aliased activation: on a GPU, or in Triton's interpreter.

The interpreter is chosen when triton is imported, so without a GPU the tests run in a process of
their own: `TRITON_INTERPRET=1 pytest tests/kernels/test_triton.py`, which one test does.
"""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vocoder.nn.activation import AntiAliased, Snake, SnakeBeta

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
triton = pytest.importorskip("triton")

CHANNELS = 2
ACTIVATIONS = {
    "snake": lambda: Snake(CHANNELS),
    "snake_beta": lambda: SnakeBeta(CHANNELS),
    "leaky_relu": lambda: nn.LeakyReLU(0.1),
}


@pytest.fixture(scope="module")
def kernels() -> Any:
    """The kernels' module, which cannot be imported without triton."""
    if DEVICE == "cpu" and not INTERPRETED:
        pytest.skip("without a GPU, in another process: test_all_in_the_interpreter")
    return importlib.import_module("vocoder.kernels.triton.anti_aliased")


def reference(kind: str, *, causal: bool) -> AntiAliased:
    """The module in double precision, with random parameters that float32 represents."""
    module = AntiAliased(ACTIVATIONS[kind](), causal=causal)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.2 + 3.0 * torch.rand(CHANNELS))
    return module.double()


def arguments(module: AntiAliased, kind: str) -> dict[str, Any]:
    """Those of the kernels but for the signals."""
    parameters = {name: p.detach().float().to(DEVICE) for name, p in module.act.named_parameters()}
    return {
        "taps": module.taps.float().to(DEVICE),
        "alpha": parameters.get("alpha"),
        "beta": parameters.get("beta"),
        "kind": kind,
        "slope": 0.1,
        "causal": module.causal,
    }


def error(made: Tensor, wanted: Tensor) -> float:
    wanted = wanted.detach()
    return float((made.cpu().double() - wanted).abs().max() / wanted.abs().max())


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", ACTIVATIONS)
# One step; fewer than taps; a whole block, and one whose neighbour begins near the end.
@pytest.mark.parametrize("steps", [1, 7, 512, 523])
def test_values_and_gradients(kernels: Any, kind: str, causal: bool, steps: int) -> None:
    torch.manual_seed(0)
    module = reference(kind, causal=causal)
    batch = 2 if steps < 8 else 1
    x = (3.0 * torch.randn(batch, CHANNELS, steps)).double().requires_grad_()
    y = module(x)
    grad = torch.randn(y.shape).double()
    wanted = torch.autograd.grad(y, [x, *module.act.parameters()], grad)
    given = arguments(module, kind)
    signal, gradient = x.detach().float().to(DEVICE), grad.float().to(DEVICE)
    assert error(kernels.forward(signal, **given), y) < 2e-6
    made = [g for g in kernels.backward(gradient, signal, **given) if g is not None]
    assert len(made) == len(wanted)
    assert max(map(error, made, wanted)) < 2e-5
    again = [g for g in kernels.backward(gradient, signal, **given) if g is not None]
    assert all(map(torch.equal, made, again))


def test_angles_far_from_zero(kernels: Any) -> None:
    module = reference("snake", causal=False)
    with torch.no_grad():
        module.act.alpha.fill_(10.0)
    x = torch.linspace(-1000.0, 1000.0, 600).expand(1, CHANNELS, -1).double()
    rest = module(x).detach() - x
    made = kernels.forward(x.float().to(DEVICE), **arguments(module, "snake"))
    # Float32 holds an angle of 1e4 to 5e-4.
    assert float((made.cpu().double() - x - rest).abs().max()) < 2e-4


def test_half_precision_in_and_out(kernels: Any) -> None:
    torch.manual_seed(0)
    module = reference("snake_beta", causal=False)
    given = arguments(module, "snake_beta")
    x, grad = (torch.randn(1, CHANNELS, 40).bfloat16().to(DEVICE) for _ in range(2))
    y = kernels.forward(x, **given)
    grad_x, grad_alpha, _ = kernels.backward(grad, x, **given)
    assert (y.dtype, grad_x.dtype, grad_alpha.dtype) == (torch.bfloat16,) * 2 + (torch.float32,)
    # Rounded once, at the end; the interpreter rounds towards zero.
    torch.testing.assert_close(y.float(), kernels.forward(x.float(), **given), rtol=2**-7, atol=0.0)
    wide = kernels.backward(grad.float(), x.float(), **given)
    torch.testing.assert_close(grad_x.float(), wide[0], rtol=2**-7, atol=0.0)
    assert torch.equal(grad_alpha, wide[1])


def test_an_empty_batch(kernels: Any) -> None:
    given = arguments(reference("snake", causal=False), "snake")
    x = torch.zeros(0, CHANNELS, 40, device=DEVICE)
    assert kernels.forward(x, **given).shape == x.shape
    grad_x, grad_alpha, _ = kernels.backward(x, x, **given)
    assert grad_x.shape == x.shape
    assert grad_alpha.tolist() == [0.0] * CHANNELS


@pytest.mark.skipif(DEVICE == "cuda" or INTERPRETED, reason="these tests run here")
def test_all_in_the_interpreter() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", __file__]
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    made = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout[-5000:]
    assert made.stdout.startswith(27 * "." + "s"), made.stdout[-5000:]


COMPILE = """
import sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from vocoder.kernels.triton import anti_aliased as kernels

constants = {"periodic": True, "lead": 5, "lanes": 128}
for kernel in (kernels.forward_kernel, kernels.backward_kernel):
    kinds = dict.fromkeys(kernel.arg_names, "*fp32") | {"channels": "i32", "steps": "i32"}
    kinds |= {"slope": "fp32"} | dict.fromkeys(constants, "constexpr")
    source = ASTSource(fn=kernel, signature=kinds, constexprs=constants)
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32))
    open(f"{sys.argv[1]}/{kernel.__name__}.cubin", "wb").write(made.asm["cubin"])
"""


@pytest.mark.slow
def test_the_kernels_compile_without_spilled_registers(tmp_path: Path) -> None:
    tools = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
    tool = tools / "cuobjdump"
    if not tool.exists():
        pytest.skip("this triton has no tools for NVIDIA GPUs")
    # Another process: in this one the kernels may be interpreted.
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    command = [sys.executable, "-c", COMPILE, str(tmp_path)]
    subprocess.run(command, check=True, env={**environment, "TRITON_CACHE_DIR": str(tmp_path)})
    cubins = sorted(tmp_path.glob("*.cubin"))
    assert len(cubins) == 2
    for cubin in cubins:
        usage = [str(tool), "-res-usage", str(cubin)]
        text = subprocess.run(usage, check=True, capture_output=True, text=True).stdout
        ((registers, stack, local),) = re.findall(r"REG:(\d+) STACK:(\d+) .*?LOCAL:(\d+)", text)
        assert int(registers) <= 128 and stack == local == "0", text
