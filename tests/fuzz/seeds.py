"""Valid files of every kind, small, as {name: content}; the first name is what is read."""

import csv
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import soundfile
import torch
from numpy.typing import NDArray

from vocoder.checkpoint import ModelConfig
from vocoder.features.mel import MelSpec
from vocoder.io.mel_file import write_mel

Files = dict[str, bytes]
SPEC = MelSpec.preset("hifigan_22k_80")
SMALL = MelSpec(sample_rate=8000, n_fft=64, hop_length=16, win_length=64, n_mels=8, norm="none")


def read_folder(folder: Path) -> Files:
    """All files of a folder, in the order of their names."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def written(save: Callable[[Path], object], name: str = "file") -> bytes:
    """What `save` writes to the path it is given."""
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder) / name)
        return (Path(folder) / name).read_bytes()


def saved(content: Any, **options: Any) -> bytes:
    """A torch file."""
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def npy(array: NDArray[Any]) -> bytes:
    """A NumPy file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(**arrays: NDArray[Any]) -> bytes:
    """A NumPy archive."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def generator(n_mels: int, hop_length: int) -> dict[str, Any]:
    """Configuration of a tiny generator."""
    rates = {16: [4, 4], 256: [16, 16]}[hop_length]
    return {
        "_target_": "vocoder.generators.hifigan.HiFiGAN",
        "n_mels": n_mels,
        "hop_length": hop_length,
        "upsample_rates": rates,
        "upsample_kernel_sizes": [2 * rate for rate in rates],
        "channels": 8,
        "resblock": "2",
        "resblock_kernel_sizes": [3],
        "resblock_dilations": [[1]],
    }


def _mel() -> NDArray[np.float32]:
    return np.linspace(-11.5, 0.5, 80 * 12, dtype=np.float32).reshape(80, 12)


def mels() -> list[Files]:
    """Mel files: ours with their settings, and those of other projects."""
    mel = _mel()
    tensor = torch.from_numpy(mel)
    spec = SPEC.to_dict()
    own = {
        f"mel{suffix}": written(lambda path: write_mel(path, tensor, SPEC), f"mel{suffix}")
        for suffix in (".npy", ".pt", ".safetensors")
    }
    others = {
        "bare.npy": npy(mel.T),
        "batch.npy": npy(mel[None].astype(np.float64)),
        "half.npy": npy(np.asfortranarray(mel.astype(np.float16))),
        "big.npy": npy(mel.astype(">f4")),
        "one.npz": npz(mel=mel),
        "two.npz": npz(mel=mel, f0=mel[0]),
        "bare.pt": saved(tensor),
        "numpy.pth": saved({"mel": mel, "name": "a"}),
        "nested.pt": saved({"mel": tensor, "mel_spec": spec, "rest": [tensor, {"x": 1}]}),
        "old.pt": saved({"mel": tensor}, _use_new_zipfile_serialization=False),
        "other.mel": saved(tensor[None]),
        "one.safetensors": safetensors.torch.save({"anything": tensor.half()}),
    }
    return [{name: content} for name, content in (own | others).items()]


def audio() -> list[Files]:
    """Audio in the formats that libsndfile writes, 0.1 s."""
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (800, 2))
    found = []
    # Of SD2, libsndfile writes a second file into the current folder.
    for container in sorted(soundfile.available_formats().keys() - {"SD2"}):
        channels = [samples[:, 0], samples] if container in ("WAV", "FLAC") else [samples[:, 0]]
        for subtype in soundfile.available_subtypes(container):
            for signal in channels:
                file = io.BytesIO()
                try:
                    soundfile.write(file, signal, 8000, format=container, subtype=subtype)
                except (soundfile.LibsndfileError, ValueError):
                    continue
                if container != "RAW" and file.getvalue():
                    found.append(
                        {f"{subtype}.{_SUFFIX.get(container, container)}".lower(): file.getvalue()}
                    )
    return found


_SUFFIX = {"WAVEX": "wav", "RF64": "wav", "AIFF": "aiff", "SVX": "iff", "MAT4": "mat"}


def manifests() -> list[Files]:
    """Manifests of the three kinds of pairs, and indexes of recordings."""
    row = {
        "path": "wavs/a.wav",
        "split": "train",
        "speaker": "s",
        "seconds": "0.3",
        "samples": "2400",
        "sample_rate": "8000",
        "channels": "1",
        "bandwidth_hz": "4000",
        "peak_dbfs": "-3.1",
        "licence": "CC0",
    }
    paired = {"mel": "mels/a.npy", "mel_spec": "hifigan_22k_80"}
    stated = {"mel": "mels/a.npy", "mel_spec": json.dumps(SPEC.to_dict())}
    tables = [row, row | paired, row | stated, row | {"narrowband": "narrow/a.wav"}]
    found = [{"manifest.csv": table([each, {**each, "split": "valid"}])} for each in tables]
    wavs = {f"wavs/{name}.wav": _wav(number) for number, name in enumerate("ab")}
    index = [{"path": f"{name}", "split": "train", "speaker": "s"} for name in wavs]
    indexes = [table(index), b'a|Text, one.|Text one\nb|More "text".|More\n']
    return [*found, *({"index.csv": each, **wavs} for each in indexes)]


def table(rows: list[dict[str, str]]) -> bytes:
    """A CSV file."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


def _wav(seed: int) -> bytes:
    file = io.BytesIO()
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, 2400)
    soundfile.write(file, samples, 8000, format="WAV")
    return file.getvalue()


def presets() -> list[Files]:
    """Mel settings as JSON, alone and in a model's configuration, and statistics."""
    spec = SPEC.to_dict()
    bands = {"mean": [-5.0] * 80, "scale": [2.0] * 80}
    config = ModelConfig(name="small", mel=SMALL, generator=generator(8, 16)).to_dict()
    texts = [spec, spec | bands, config, spec | {"mean": -5.0, "scale": 2.0}]
    stats = np.stack([np.full(80, -5.0), np.full(80, 2.0)]).astype(np.float32)
    found = [{"preset.json": json.dumps(each).encode()} for each in texts]
    return [*found, {"stats.npy": npy(stats)}]


def streams() -> list[Files]:
    """What is piped into `vocoder stream`."""
    mel = _mel()
    own = written(lambda path: write_mel(path, torch.from_numpy(mel), SPEC), "mel.npy")
    contents = {
        "own.npy": own,
        "several.npy": npy(mel) + npy(mel[:, :3]) + npy(mel[:, :1]),
        "twice.npy": own + own,
        "turned.npy": npy(mel.T),
        "batch.npy": npy(mel[None]),
        "double.npy": npy(mel.astype(np.float64)),
        "raw.f32": mel.T.astype("<f4").tobytes(),
    }
    return [{name: content} for name, content in contents.items()]
