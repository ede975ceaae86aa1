"""Export of a model to ONNX, with a parity check against PyTorch."""

from pathlib import Path
from typing import Any

from vocoder.checkpoint import ModelConfig
from vocoder.errors import ConfigError
from vocoder.export.engines import require_runtime
from vocoder.export.file import SUFFIX, ExportFacts, add_metadata
from vocoder.export.network import to_onnx
from vocoder.export.parity import (
    TOLERANCE as TOLERANCE,
    Example,
    Parity,
    example_of as example_of,
    parity,
    takes_f0 as takes_f0,
)
from vocoder.generators.base import BandwidthExtender, Generator
from vocoder.io.atomic import replacing_file
from vocoder.nn.weight_norm import count_weights
from vocoder.streaming.plan import Plan

OLDEST_OPSET, DEFAULT_OPSET = 18, 18
SHORT, LONG = (2, 4), (1, 7)  # items and frames of the examples


def export_model(
    generator: Generator,
    config: ModelConfig,
    path: Path,
    *,
    opset: int = DEFAULT_OPSET,
    use_dft: bool = False,
    f0: bool = False,
    verify: bool = True,
) -> Parity | None:
    """Write a model as an ONNX file, in one step; returns how it differs from PyTorch.

    None without `verify`. Raises ConfigError, and writes nothing, if they differ by more than 1e-4
    of the peak (`parity`), if the network cannot be exported, or if a package is missing.

    Args:
        generator: The network, frozen (`Generator.freeze`), on the CPU.
        config: Content of its config.json, which the file will hold.
        path: File to write; its suffix is .onnx.
        opset: Version of ONNX's operators, from 18 on.
        use_dft: Whether spectra are computed by ONNX's DFT operator, which few runtimes have.
        f0: Whether F0 is an input, in place of the network's own estimate.
        verify: Whether to compare with PyTorch.
    """
    require_suffix(path)
    content = exported(generator, config, opset=opset, use_dft=use_dft, f0=f0)
    found = parity(generator, config, content, f0=f0) if verify else None
    with replacing_file(path) as temporary:
        temporary.write_bytes(content)
    return found


def exported(
    generator: Generator,
    config: ModelConfig,
    *,
    opset: int = DEFAULT_OPSET,
    use_dft: bool = False,
    f0: bool = False,
) -> bytes:
    """Content of the file that `export_model` writes, not compared with PyTorch."""
    require_opset(opset)
    f0 = takes_f0(generator, f0)
    short, long = (example_of(generator, config.mel, *size, f0=f0) for size in (SHORT, LONG))
    model = to_onnx(generator, short, long, opset=opset, use_dft=use_dft)
    add_metadata(model, config, _facts(generator, short, long))
    content: bytes = model.SerializeToString()
    return content


def require_suffix(path: Path) -> None:
    """Raise ConfigError unless the name of a file is that of an exported model."""
    if path.suffix != SUFFIX:
        raise ConfigError(f"{path}: an exported model has the suffix {SUFFIX}")


def require_opset(opset: int) -> None:
    """Raise ConfigError for a version of ONNX's operators that we cannot write."""
    newest = _newest_opset()
    if not OLDEST_OPSET <= opset <= newest:
        raise ConfigError(f"opset is {opset}; choose from {OLDEST_OPSET} to {newest}")


def _newest_opset() -> int:
    try:
        from onnx import defs
    except ModuleNotFoundError as error:
        raise ConfigError("export needs onnx: pip install 'vocoder[onnx]'") from error
    return int(defs.onnx_opset_version())


def _facts(generator: Generator, short: Example, long: Example) -> ExportFacts:
    extends = isinstance(generator, BandwidthExtender)
    reach, streams = None, True
    try:
        reach = Plan(generator, short, long).reach
    except ConfigError:
        streams = False
    more: dict[str, Any] = {}
    if isinstance(generator, BandwidthExtender):
        more = {
            "cutoff_range": list(generator.cutoff_range),
            "resampling": generator.resampling,
        }
        if reach is not None:  # of samples: whole hops
            reach = (-(-reach[0] // generator.hop_length), -(-reach[1] // generator.hop_length))
    return ExportFacts(
        kind="extender" if extends else "vocoder",
        features=list(long),
        hop_length=generator.hop_length,
        fewer_samples=generator.hop_length - generator.samples(1),
        reach=None if reach is None else list(reach),
        streams=streams,
        parameters=count_weights(generator),
        **more,
    )


def require_export_packages(*, verify: bool) -> None:
    """Raise ConfigError, which names the extra, if a package for export is missing."""
    if verify:
        require_runtime("onnx")
    _newest_opset()
