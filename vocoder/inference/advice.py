"""What would make a model faster on this machine."""

import importlib.util

import torch

from vocoder.inference.model import InferenceModel
from vocoder.kernels.jit.compiler import is_available
from vocoder.kernels.switch import VARIABLE, kernels_allowed


def faster(model: InferenceModel) -> list[str]:
    """What the user can do to make a model faster, a line each; empty if nothing is known."""
    if model.num_parameters == 0:  # Griffin-Lim has no network
        return []
    found = []
    if not kernels_allowed():
        found.append(f"unset {VARIABLE}: it turns off the fused kernels")
    if model.device.type == "cpu":
        if not is_available() and "[fast]" not in model.network.path:
            found.append("pip install 'vocoder[fast]': kernels compiled for this CPU")
        if torch.cuda.is_available():
            found.append("the device cuda (--device cuda): there is a GPU")
    elif model.device.type == "cuda" and importlib.util.find_spec("triton") is None:
        found.append("pip install triton: fused kernels for this GPU")
    return found
