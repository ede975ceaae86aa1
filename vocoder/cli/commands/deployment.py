"""Commands that bring models elsewhere or make them faster: export, tune."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vocoder.cli.options import Threads
from vocoder.errors import ConfigError

if TYPE_CHECKING:
    from vocoder.checkpoint import ModelConfig
    from vocoder.generators.base import Generator


def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A built-in model or a model directory.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The ONNX file to write.")
    ],
    opset: Annotated[
        int, typer.Option(metavar="N", help="Version of ONNX's operators, from 18 on.")
    ] = 18,
    dft: Annotated[
        bool,
        typer.Option(
            help="Compute spectra by ONNX's DFT operator, which few runtimes have, or by small "
            "matrix products, which all have."
        ),
    ] = False,
    f0: Annotated[
        bool,
        typer.Option("--f0", help="Take F0 as an input, in place of the network's estimate."),
    ] = False,
    check: Annotated[
        bool, typer.Option(help="Compare with PyTorch before the file is written.")
    ] = True,
    stream: Annotated[
        bool, typer.Option("--stream", help="Export one step of the model's stream, with states.")
    ] = False,
    chunk: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Frames, of an extender samples, that the step takes; by default 8 hops.",
        ),
    ] = None,
) -> None:
    """Export a vocoder or a bandwidth extender to ONNX.

    For any number of frames and any batch, in float32. The file contains the model's mel settings
    and licences, and `--model x.onnx` runs it. It is written if, in onnxruntime, its output is
    within 1e-4 of PyTorch's peak. With --stream it is for live audio in other languages, one chunk
    after the other; the manual (Streaming) says how.
    """
    from vocoder.export.export import export_model, require_export_packages

    if chunk is not None and not stream:
        raise ConfigError("--chunk is the size of a streaming step; it needs --stream")
    require_export_packages(verify=check)
    generator, config = _opened(model)
    options: dict[str, Any] = {"opset": opset, "use_dft": dft, "f0": f0, "verify": check}
    if stream:
        from vocoder.export.stream.export import export_stream

        step, found = export_stream(generator, config, output, chunk=chunk, **options)
        what = (
            f"{config.name}, streaming step of {step.chunk}, inputs {', '.join(step.inputs)}, "
            f"{len(step.states)} states, delay {step.delay} samples"
        )
    else:
        found = export_model(generator, config, output, **options)
        what = config.name
    difference, rounding = found or (None, None)
    said = "not checked" if difference is None else f"within {difference:.0e} of PyTorch's peak"
    if rounding is not None:
        said += f", whose own rounding errors amount to {rounding:.0e}"
    typer.echo(f"{output}: {what}, opset {opset}, {output.stat().st_size / 1e6:.1f} MB, {said}")


def tune(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A built-in model or a model directory.")
    ] = "default",
    threads: Threads = None,
) -> None:
    """Measure which runtime is fastest for a model here.

    Every runtime computes 4 s of audio in turn with PyTorch. The fastest whose output is within
    1e-4 of PyTorch's peak is remembered for `--runtime auto`, for this model and machine.
    """
    from vocoder.checkpoint import find_model
    from vocoder.inference.runtimes.tuning import measure_runtimes

    best, measured = measure_runtimes(find_model(model))
    for each in measured:
        note = "" if each.agrees else f", not used: {each.difference:.0e} of the peak apart"
        typer.echo(f"{each.path}: {each.seconds:.3f} s{note}")
    typer.echo(f"--runtime auto is now {best}")


def _opened(name: str) -> tuple["Generator", "ModelConfig"]:
    """The frozen generator and the configuration of a model directory or a built-in model."""
    from vocoder.checkpoint import GRIFFIN_LIM, find_model, is_builtin, load_model
    from vocoder.inference.vocoder import load

    if is_builtin(name, GRIFFIN_LIM):
        vocoder = load(name)
        return vocoder.generator, vocoder.config
    generator, config = load_model(find_model(name))
    return generator.freeze(), config
