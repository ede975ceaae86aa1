"""Mean and scale of every mel band, as ParallelWaveGAN and ESPnet store them beside a model.

.npy        an array [2, M]: mean, then scale
.npz, .h5   arrays "mean" and "scale" (.npz) or datasets of these names (.h5)
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vocoder.errors import ConfigError, VocoderError
from vocoder.io.untrusted import NPY_MAGIC, load_npy, load_npz

_NAMES = ("mean", "scale")
STATISTICS_SUFFIXES = (".npy", ".npz", ".h5", ".hdf5")
_MOST = 2**14  # bands


def read_statistics(path: Path) -> dict[str, tuple[float, ...]]:
    """Read "mean" and "scale" of the bands, which a MelSpec has as fields; nothing is executed.

    Raises ConfigError, which names the file, if it cannot be read or holds anything else.
    """
    if not path.exists():
        raise ConfigError(f"{path}: no such file")
    try:
        rows = _read_hdf5(path) if path.suffix.lower() in (".h5", ".hdf5") else _read_numpy(path)
        values = {name: np.asarray(rows[name], dtype=np.float64).ravel() for name in _NAMES}
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error})") from error
    except VocoderError as error:
        raise ConfigError(str(error)) from error
    except Exception as error:  # what a damaged file raises depends on where it is damaged
        reason = str(error).split("\n", 1)[0] or type(error).__name__
        raise ConfigError(f"{path}: holds no mean and scale of mel bands ({reason})") from error
    mean, scale = values["mean"], values["scale"]
    if len(mean) != len(scale) or not len(mean):
        raise ConfigError(f"{path}: has {len(mean)} means and {len(scale)} scales")
    if not (np.isfinite(mean).all() and np.isfinite(scale).all() and (scale > 0.0).all()):
        raise ConfigError(f"{path}: its means must be finite, and its scales positive")
    return {"mean": tuple(mean.tolist()), "scale": tuple(scale.tolist())}


def _read_numpy(path: Path) -> Mapping[str, Any]:
    with path.open("rb") as file:
        if file.read(len(NPY_MAGIC)) != NPY_MAGIC:
            return load_npz(path)
        file.seek(0)
        content = load_npy(file, path.stat().st_size, str(path), ConfigError)
    if content.ndim != 2 or len(content) != len(_NAMES):
        raise ValueError(f"an array of shape {list(content.shape)}, not [2, M]")
    return dict(zip(_NAMES, content, strict=True))


def _read_hdf5(path: Path) -> Mapping[str, Any]:
    try:
        h5py: Any = importlib.import_module("h5py")
    except ModuleNotFoundError as error:
        raise ConfigError(f"{path}: needs h5py: pip install 'vocoder[import]'") from error
    with h5py.File(path, "r") as file:
        sets = {name: file[name] for name in _NAMES}
        if any(each.size is None or each.size > _MOST for each in sets.values()):
            raise ValueError(f"more than {_MOST} values")  # before they are allocated
        return {name: each[()] for name, each in sets.items()}
