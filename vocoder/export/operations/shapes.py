"""Operations of torch that move values or change shapes, as ONNX nodes.

Converters are as in `vocoder.export.operations.pointwise`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from vocoder.export.graph import END, Complex, GraphBuilder, GraphTensor, Size

Result = Any


def _structural(convert: Callable[..., str]) -> Callable[..., Result]:
    """A converter that treats the parts of a complex value alike."""

    def both(b: GraphBuilder, input: Any, *args: Any, **kwargs: Any) -> Result:
        if isinstance(input, Complex):
            return tuple(convert(b, part, *args, **kwargs) for part in (input.real, input.imag))
        return convert(b, input, *args, **kwargs)

    return both


def _getattr(b: GraphBuilder, input: Any, name: str) -> Result:
    if isinstance(input, Complex) and name in ("real", "imag"):
        return getattr(input, name).name
    if name == "shape":
        return _size(b, input)
    if name == "mT":
        return _structural(_transpose)(b, input, -2, -1)
    raise NotImplementedError(f"of {name}")


def _size(b: GraphBuilder, input: Any, dim: int | None = None) -> Result:
    value = input.real if isinstance(input, Complex) else input
    if dim is not None:
        return b.ints(b.size(value, dim))
    return tuple(b.size(value, axis) for axis in range(value.ndim))


def _getitem(b: GraphBuilder, input: Any, index: Any) -> Result:
    if isinstance(input, tuple | list):  # of several results, or of sizes
        return input[index]
    if isinstance(input, Complex):
        return tuple(_part(b, part, index) for part in (input.real, input.imag))
    if isinstance(index, GraphTensor):  # a table of constants, or of values
        return b.op("Gather", b.name(input), index.name, axis=0)
    return _part(b, input, index)


def _part(b: GraphBuilder, input: GraphTensor, index: Any) -> str:
    entries = list(index) if isinstance(index, tuple) else [index]
    if Ellipsis in entries:
        place, taken = entries.index(Ellipsis), sum(entry is not None for entry in entries) - 1
        entries[place : place + 1] = [slice(None)] * (input.ndim - taken)
    name, axis = input.name, 0
    for entry in entries:
        if entry is None:
            name = b.op("Unsqueeze", name, b.ints(axis))
        elif isinstance(entry, slice):
            if entry != slice(None):
                end = END if entry.stop is None else entry.stop
                name = b.slice(name, axis, entry.start or 0, end, entry.step or 1)
        elif isinstance(entry, int):
            name = b.op("Gather", name, b.const(entry, torch.int64), axis=axis)
            continue
        else:
            raise NotImplementedError(f"by {type(entry).__name__}")
        axis += 1
    return name


def _transpose(b: GraphBuilder, input: GraphTensor, dim0: int, dim1: int) -> str:
    axes = list(range(input.ndim))
    axes[dim0], axes[dim1] = axes[dim1], axes[dim0]
    return b.transpose(input.name, *axes)


def _permute(b: GraphBuilder, input: GraphTensor, *dims: Any) -> str:
    axes = dims[0] if isinstance(dims[0], tuple | list) else dims
    return b.transpose(input.name, *(axis % input.ndim for axis in axes))


def _chunk(b: GraphBuilder, input: GraphTensor, chunks: int, dim: int = 0) -> Result:
    size = input.shape[dim]
    if size is None:
        raise NotImplementedError("along an axis whose size varies")
    each = -(-size // chunks)
    return tuple(
        b.slice(input.name, dim, start, min(start + each, size)) for start in range(0, size, each)
    )


def _split(b: GraphBuilder, input: GraphTensor, split_size: Any, dim: int = 0) -> Result:
    size = input.shape[dim]
    if size is None:
        raise NotImplementedError("along an axis whose size varies")
    sizes = split_size
    if isinstance(split_size, int):
        sizes = [min(split_size, size - start) for start in range(0, size, split_size)]
    ends = [sum(sizes[: count + 1]) for count in range(len(sizes))]
    return tuple(
        b.slice(input.name, dim, end - each, end) for each, end in zip(sizes, ends, strict=True)
    )


def _unbind(b: GraphBuilder, input: GraphTensor, dim: int = 0) -> Result:
    size = input.shape[dim]
    if size is None:
        raise NotImplementedError("along an axis whose size varies")
    return tuple(
        b.op("Gather", input.name, b.const(index, torch.int64), axis=dim) for index in range(size)
    )


def _flatten(b: GraphBuilder, input: GraphTensor, start_dim: int = 0, end_dim: int = -1) -> str:
    first, last = start_dim % input.ndim, end_dim % input.ndim
    after = [b.size(input, axis) for axis in range(last + 1, input.ndim)]
    return b.reshape(input.name, *([0] * first), -1, *after)


def _reshape(b: GraphBuilder, input: GraphTensor, *shape: Any) -> str:
    sizes = shape[0] if isinstance(shape[0], tuple | list) else shape
    return b.reshape(input.name, *sizes)


def _expand(b: GraphBuilder, input: GraphTensor, *sizes: Any) -> str:
    wanted = sizes[0] if isinstance(sizes[0], tuple | list) else sizes
    return b.op("Expand", input.name, b.ints(*(1 if size == -1 else size for size in wanted)))


def _unsqueeze(b: GraphBuilder, input: GraphTensor, dim: int) -> str:
    return b.op("Unsqueeze", input.name, b.ints(dim))


def _squeeze(b: GraphBuilder, input: GraphTensor, dim: int) -> str:
    return b.op("Squeeze", input.name, b.ints(dim))


def _repeat_interleave(b: GraphBuilder, input: GraphTensor, repeats: int, dim: int) -> str:
    axis = dim % input.ndim
    sizes = [b.size(input, index) for index in range(axis + 1, input.ndim)]
    spread = b.op("Unsqueeze", input.name, b.ints(axis + 1))
    shape = [1] * (axis + 1) + [repeats] + [1] * len(sizes)
    return b.reshape(b.op("Expand", spread, b.ints(*shape)), *([0] * axis), -1, *sizes)


def _cat(b: GraphBuilder, tensors: Sequence[Any], dim: int = 0) -> str:
    dtype = b.made.dtype
    return b.concat([b.name(each, dtype) for each in tensors], dim)


def _stack(b: GraphBuilder, tensors: Sequence[Any], dim: int = 0) -> str:
    where = b.ints(dim % b.made.ndim)
    dtype = b.made.dtype
    names = [b.op("Unsqueeze", b.name(each, dtype), where) for each in tensors]
    return b.concat(names, dim % b.made.ndim)


def _gather(b: GraphBuilder, input: GraphTensor, dim: int, index: Any) -> str:
    return b.op("GatherElements", b.name(input), b.name(index), axis=dim)


def _pad(
    b: GraphBuilder,
    input: GraphTensor,
    pad: Sequence[Any],
    mode: str = "constant",
    value: Any = None,
) -> str:
    name = input.name
    if mode == "reflect":
        if len(pad) != 2:
            raise NotImplementedError("by reflection along several axes")
        return pad_reflect(b, input, *pad)
    if mode not in ("constant", "replicate") or value:
        raise NotImplementedError(f"with mode {mode!r} and value {value}")
    for place in range(len(pad) // 2):
        axis = input.ndim - 1 - place
        left, right = pad[2 * place : 2 * place + 2]
        before, behind = (0 if isinstance(n, int) and n < 0 else n for n in (left, right))
        if any(isinstance(n, Size) or n for n in (before, behind)):
            kind = mode.replace("replicate", "edge")
            name = b.pad(name, input.ndim, axis, before, behind, kind)
        cut = [-n if isinstance(n, int) and n < 0 else 0 for n in (left, right)]
        if any(cut):
            name = b.slice(name, axis, cut[0], -cut[1] if cut[1] else END)
    return name


def pad_reflect(b: GraphBuilder, audio: Any, left: int, right: int) -> str:
    """Padding by reflection of any length, as `vocoder.dsp.stft.pad_reflect`."""
    samples = b.ints(b.size(audio, audio.ndim - 1))
    one, two = b.ints(1), b.ints(2)
    period = b.op("Max", b.op("Mul", two, b.op("Sub", samples, one)), one)
    ends: list[list[str]] = []
    for places in (
        b.const(torch.arange(left, 0, -1)) if left else None,
        b.op("Add", b.const(torch.arange(right)), samples) if right else None,
    ):
        if places is None:
            ends.append([])
            continue
        index = b.op("Mod", places, period)
        index = b.op("Min", index, b.op("Sub", period, index))
        ends.append([b.op("Gather", audio.name, index, axis=-1)])
    return b.concat([*ends[0], audio.name, *ends[1]], -1)


SHAPES: dict[str, Callable[..., Result]] = {
    "getattr": _getattr,
    "size": _size,
    "getitem": _getitem,
    "__getitem__": _getitem,
    "transpose": _structural(_transpose),
    "permute": _structural(_permute),
    "chunk": _chunk,
    "split": _split,
    "unbind": _unbind,
    "flatten": _structural(_flatten),
    "reshape": _structural(_reshape),
    "view": _structural(_reshape),
    "expand": _structural(_expand),
    "unsqueeze": _structural(_unsqueeze),
    "squeeze": _structural(_squeeze),
    "repeat_interleave": _structural(_repeat_interleave),
    "cat": _cat,
    "stack": _stack,
    "gather": _gather,
    "pad": _pad,
    "pad_reflect": pad_reflect,
}
"""Converters by the name of the function or method."""
