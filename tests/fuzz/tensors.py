"""Mutations of the content of torch files: strange tensors, keys and containers."""

import io
import warnings
from collections import OrderedDict
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.fuzz.raw import mutate_bytes
from tests.fuzz.seeds import saved

HUGE = (10**6, 80, 10**5)  # as the shape of one stored number


def mutate(rng: Random, content: bytes) -> bytes:
    """A torch file in which one to three values are replaced, added or removed."""
    with warnings.catch_warnings(action="ignore"):
        try:
            holder = {"": torch.load(io.BytesIO(content), weights_only=True)}
        except Exception:  # an earlier mutation may have damaged it
            return mutate_bytes(rng, content)
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            spots = [(holder, ""), *_spots(holder[""])]
            inner = len(spots) > 1 and rng.random() < 0.9
            container, key = rng.choice(spots[1:] if inner else spots)
            _change(rng, container, key)
        try:
            return saved(holder[""], _use_new_zipfile_serialization=rng.random() < 0.95)
        except Exception:  # not everything can be written, least in the old format
            return mutate_bytes(rng, content)


def _spots(values: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    if isinstance(values, dict):
        found = [(values, key) for key in values]
    elif isinstance(values, list):
        found = [(values, index) for index in range(min(len(values), 4))]
    return [*found, *(spot for inner, key in found for spot in _spots(inner[key]))]


def _change(rng: Random, container: Any, key: Any) -> None:
    value = container[key]
    action = rng.randrange(10)
    if action < 5:
        container[key] = _strange(rng, value)
    elif action == 5:
        container[key] = rng.choice(OTHERS)
    elif action == 6 and isinstance(container, dict) and key != "":
        container[rng.choice(KEYS)] = container.pop(key)
    elif action == 7 and isinstance(container, dict) and key != "":
        container[rng.choice(KEYS)] = _strange(rng, _TENSOR)
    elif action == 8 and key != "":
        del container[key]
    else:
        container[key] = rng.choice(WRAPPERS)(value)


def _strange(rng: Random, value: Any) -> Any:
    make = rng.choice(STRANGE)
    try:
        small = isinstance(value, Tensor) and value.numel() < 2**20
        return make(value if small else _TENSOR)
    except Exception:  # one that is strange already
        return make(_TENSOR)


def _quantised(x: Tensor) -> Tensor:
    return torch.quantize_per_tensor(x.float(), 0.1, 0, torch.qint8)


_TENSOR = torch.linspace(-11.0, 0.0, 80 * 4).reshape(80, 4)
KEYS: tuple[Any, ...] = (0, 1, -1, 10**30, 1.5, None, True, "", "mel", "module.x", (1, 2), "a\0b")
KEYS += ("_orig_mod.x", "generator", "state_dict", "model", b"x", "weight_g", "a\nb", "x" * 300)
OTHERS: tuple[Any, ...] = (None, 0, -1, 1.5, "x", "a\nb", [], {}, (), True, 10**30, b"x", 1j)
OTHERS += (set(), OrderedDict(), np.zeros((80, 4), np.float32), np.float64(1.0), torch.Size([1]))
OTHERS += (np.array(["x"]), [np.zeros(3)], torch.float32, torch.device("cuda"), {1: 2}, "x" * 300)
STRANGE: tuple[Callable[[Tensor], Any], ...] = (
    lambda x: x.float().to_sparse(),
    lambda x: x.float().reshape(len(x) if x.ndim else 1, -1).to_sparse_csr(),
    lambda x: torch.empty_like(x, device="meta"),
    lambda x: torch.empty(HUGE, device="meta"),
    lambda x: torch.sparse_coo_tensor(torch.zeros(3, 1, dtype=torch.long), torch.ones(1), HUGE),
    lambda x: torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(4, 3)]),
    lambda x: torch.nested.nested_tensor([torch.ones(2, 3)], layout=torch.jagged),
    _quantised,
    lambda x: torch.quantize_per_channel(torch.ones(2, 3), *_SCALES, 0, torch.qint8),
    lambda x: x.to(torch.complex64),
    lambda x: x.conj() if x.is_complex() else torch.view_as_complex(torch.ones(3, 2)).conj(),
    lambda x: torch.zeros(1).expand(HUGE),
    lambda x: torch.zeros(1).expand(x.shape),
    lambda x: torch.zeros(1).expand(80, 10**6),
    lambda x: torch.zeros(1).expand(10**6, 80),
    lambda x: torch.zeros((0, *x.shape)),
    lambda x: torch.zeros(0),
    lambda x: torch.zeros(80, 0),
    lambda x: torch.tensor(0.5),
    lambda x: x.new_zeros([1] * 40),
    lambda x: x.flatten(),
    lambda x: x[None],
    lambda x: x.transpose(0, -1),
    lambda x: torch.stack([x, x]),
    lambda x: x.half(),
    lambda x: x.double(),
    lambda x: x.bfloat16(),
    lambda x: x.to(torch.float8_e4m3fn),
    lambda x: x.long(),
    lambda x: x.bool(),
    lambda x: x.to(torch.uint16),
    lambda x: torch.full_like(x, torch.nan) if x.is_floating_point() else x,
    lambda x: torch.full_like(x, 3e38) if x.is_floating_point() else x,
    lambda x: x.double() * 1e300,
    lambda x: torch.nn.Parameter(x.float()),
    lambda x: torch.zeros(64, 64)[::3, ::5],
    lambda x: torch.zeros(10**6)[:3],
    lambda x: x.repeat_interleave(2, 0) if x.ndim else x,
    lambda x: x.numpy() if not x.is_complex() and x.dtype != torch.bfloat16 else x,
    lambda x: x.untyped_storage(),
    lambda x: torch.ones(3).neg() if x.is_complex() else torch._neg_view(torch.ones(80, 4)),
)
_SCALES = (torch.ones(2), torch.zeros(2))
WRAPPERS: tuple[Callable[[Any], Any], ...] = (
    lambda value: [value],
    lambda value: (value, value),
    lambda value: {"mel": value},
    lambda value: {"generator": value, "x": 1},
    lambda value: {"state_dict": value},
    lambda value: {0: value},
    lambda value: [[[[value]]]],
    lambda value: {"model": {"model": {"model": value}}},
    lambda value: OrderedDict(mel=value),
    lambda value: (
        {f"generator.{key}": each for key, each in value.items()}
        if isinstance(value, dict)
        else value
    ),
)
