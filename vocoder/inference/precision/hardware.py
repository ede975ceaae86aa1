"""What multiplies numbers in bfloat16 and int8 here."""

import platform

import torch

from vocoder.errors import ConfigError

_CAPABILITY = (8, 0)  # of the first NVIDIA GPUs that multiply in bfloat16
_NEEDS = {
    "bfloat16": "a CPU with AMX or AVX512_BF16, or a GPU of compute capability 8.0",
    "int8": "a CPU with AVX512_VNNI",
}


def require(precision: str, device: torch.device) -> str:
    """Name of the instructions that multiply in "bfloat16" or "int8" on a device.

    Raises ConfigError if it has none: emulated, lower precision is slower than float32.
    """
    names = {
        ("bfloat16", "cpu"): _bfloat16_of_cpu,
        ("bfloat16", "cuda"): lambda: _bfloat16_of_gpu(device),
        ("int8", "cpu"): _int8_of_cpu,
    }
    name = names.get((precision, device.type), str)()
    if not name:
        where = {"cpu": "this CPU", "cuda": "this GPU"}.get(device.type, str(device))
        raise ConfigError(
            f"{precision}: {where} has no instructions for it, and float32 is faster there; it "
            f"takes {_NEEDS[precision]}"
        )
    return name


def _bfloat16_of_cpu() -> str:
    if platform.machine() in ("aarch64", "arm64"):
        supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
        return "BF16" if supported() else ""
    if _has("_is_amx_tile_supported"):
        return "AMX"
    return "AVX512_BF16" if _has("_is_avx512_bf16_supported") else ""


def _bfloat16_of_gpu(device: torch.device) -> str:
    return "tensor cores" if torch.cuda.get_device_capability(device) >= _CAPABILITY else ""


def _int8_of_cpu() -> str:
    has_vnni = _has("_is_vnni_supported") or _has("_is_avx512_vnni_supported")
    return "VNNI" if has_vnni and hasattr(torch.ops.onednn, "qlinear_pointwise") else ""


def _has(name: str) -> bool:
    """What a function of `torch.cpu` says, which not every release has."""
    return bool(getattr(torch.cpu, name, lambda: False)())
