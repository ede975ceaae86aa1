"""Export of a model's streaming step to ONNX, with a check against the model's own stream."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from vocoder.checkpoint import ModelConfig
from vocoder.errors import ConfigError
from vocoder.export.export import DEFAULT_OPSET, LONG, SHORT, require_opset, require_suffix
from vocoder.export.file import set_metadata
from vocoder.export.network import IR_VERSION
from vocoder.export.parity import TOLERANCE, Parity, example_of, rounding_of, takes_f0
from vocoder.export.stream.convert import step_to_onnx
from vocoder.export.stream.runner import StepRunner
from vocoder.export.stream.step import StreamingStep, build_step
from vocoder.generators.base import BandwidthExtender, Generator
from vocoder.io.atomic import replacing_file
from vocoder.streaming.chunks import Chunk
from vocoder.streaming.plan import Plan

HOPS = 8  # of a chunk, by default
_CHECKED = 12  # chunks of the check
# So many times PyTorch's own rounding error is accepted. Where a phase accumulates an F0 estimate,
# it grows with length, and the runtime's, which has another course, can be larger.
_ROUNDINGS = 4.0


class StepExport(NamedTuple):
    """What was written, and how it differs from the model's stream; None if not compared."""

    step: StreamingStep
    parity: Parity | None


def export_stream(
    generator: Generator,
    config: ModelConfig,
    path: Path,
    *,
    chunk: int | None = None,
    opset: int = DEFAULT_OPSET,
    use_dft: bool = False,
    f0: bool = False,
    verify: bool = True,
) -> StepExport:
    """Write a model's streaming step as an ONNX file, which `StepRunner` runs.

    They are compared over a stream from its start to its end. Raises ConfigError, and writes
    nothing, if they differ by more than 1e-4 of the peak and than PyTorch's own rounding explains,
    if the network cannot stream, or if a package is missing.

    Args:
        generator: The network, frozen (`Generator.freeze`), on the CPU.
        config: Content of its config.json, which the file will hold.
        path: File to write; its suffix is .onnx.
        chunk: Frames, of an extender samples, that a step takes; 8 hops by default.
        opset: Version of ONNX's operators, from 18 on.
        use_dft: Whether spectra are computed by ONNX's DFT operator, which few runtimes have.
        f0: Whether F0 is an input; it always is where the network has no estimate that streams.
        verify: Whether to compare with the model's own stream.
    """
    require_suffix(path)
    require_opset(opset)
    unit = generator.hop_length if isinstance(generator, BandwidthExtender) else 1
    chunk = HOPS * unit if chunk is None else chunk
    if chunk < 1 or chunk % unit:
        fit = f"a multiple of its hop, {unit} samples" if unit > 1 else "1 or more"
        raise ConfigError(f"{config.name}: a chunk of {chunk} does not fit it; choose {fit}")
    try:
        plan, short, long = _plan(generator, config, f0)
        step = build_step(generator, short, long, chunk=chunk)
        model = _model(step, config, long, opset=opset, use_dft=use_dft)
        with replacing_file(path) as temporary:
            temporary.write_bytes(model.SerializeToString())
            found = _parity(StepRunner(temporary), generator, config, plan) if verify else None
    except ConfigError as error:
        raise ConfigError(f"{config.name}: {error}") from error
    return StepExport(step, found)


def _plan(
    generator: Generator, config: ModelConfig, f0: bool
) -> tuple[Plan, Mapping[str, Tensor], Mapping[str, Tensor]]:
    """A plan of the network, with F0 where it needs it to stream, and two examples."""
    for given in (takes_f0(generator, f0), True):
        short, long = (example_of(generator, config.mel, *size, f0=given) for size in (SHORT, LONG))
        try:
            return Plan(generator, short, long), short, long
        except ConfigError:
            if given or "f0" not in generator.features:
                raise
    raise AssertionError("unreachable")


def _model(
    step: StreamingStep,
    config: ModelConfig,
    example: Mapping[str, Tensor],
    *,
    opset: int,
    use_dft: bool,
) -> Any:
    from onnx import helper

    if step.rate.denominator > 1:
        raise ConfigError(f"it makes {step.rate} samples of each step, not a whole number")
    chunks = [_repeated(example[name], step.chunk) for name in step.inputs]
    graph = step_to_onnx(step, chunks, opset=opset, use_dft=use_dft)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = IR_VERSION
    facts = {"chunk": step.chunk, "rate": step.rate, "delay": step.delay, "offset": step.offset}
    set_metadata(model, config, {f"step.{name}": str(value) for name, value in facts.items()})
    return model


def _repeated(x: Tensor, steps: int) -> Tensor:
    """The signal over and over, for so many steps."""
    return torch.cat([x] * (steps // x.shape[-1] + 1), dim=-1)[..., :steps]


def _parity(runner: StepRunner, generator: Generator, config: ModelConfig, plan: Plan) -> Parity:
    """Compare a file with a plan, over some chunks of noise, of which the last is half one."""
    chunk = runner.chunk
    hops = -(-chunk // generator.hop_length) if "narrowband" in plan.inputs else chunk
    f0 = "f0" in plan.inputs
    noise = example_of(generator, config.mel, 1, _CHECKED * hops, f0=f0, seed=1)
    signals = {name: x[..., : (_CHECKED - 1) * chunk + chunk // 2] for name, x in noise.items()}
    difference = _difference(runner, plan, list(signals.values()))
    if difference <= TOLERANCE:
        return Parity(difference)
    rounding = rounding_of(generator, signals)
    if difference <= _ROUNDINGS * rounding:
        return Parity(difference, rounding)
    raise ConfigError(
        f"exported, its stream differs by {difference:.1e} of the peak, more than "
        f"{TOLERANCE:.0e}; nothing is written"
    )


@torch.inference_mode()
def _difference(runner: StepRunner, plan: Plan, signals: Sequence[Tensor]) -> float:
    """Largest difference of two streams of the same signals, relative to the peak."""
    states = plan.begin()
    expected: list[Chunk] = []
    made = []
    pieces = [torch.split(x, runner.chunk, dim=-1) for x in signals]
    for parts in zip(*pieces, strict=True):
        audio, states = plan.step(states, parts)
        expected.append(audio)
        made.append(runner.push(*(part[0].numpy() for part in parts)))
    nothing: list[Chunk] = [None] * len(pieces)
    expected.append(plan.step(states, nothing, last=True)[0])
    made.append(runner.flush())
    reference = torch.cat([x for x in expected if x is not None], dim=-1).flatten().numpy()
    streamed = np.concatenate(made)
    if streamed.shape != reference.shape:
        raise ConfigError(f"the step gives {len(streamed)} samples, the stream {len(reference)}")
    found = float(np.abs(streamed - reference).max() / np.abs(reference).max())
    return found if found == found else float("inf")
