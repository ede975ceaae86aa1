"""Runs an exported streaming step: the protocol that a program in another language follows.

The inputs of a file are chunks of the network's inputs, `count`, and states; its outputs are a
chunk of audio and the next states. Its metadata has numbers: `step.chunk`, the steps in a chunk;
`step.rate`, the samples of a step; `step.delay`, the samples to drop; `step.offset`, the samples
that a signal has more than steps * rate.

    begin   all states are zeros, of the shapes and types that the file declares
    push    with every `chunk` steps, run with count = chunk; the next states replace the states
    flush   run with the r < chunk steps that are left, padded by zeros, and count = r; then with
            zeros and count = 0, until the audio is complete

The audio of all runs, joined, without its first `delay` samples, and cut to steps * rate + offset
samples, is that of one call on the whole signal.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vocoder.errors import CheckpointError, ConfigError

Values = NDArray[Any]


class StepRunner:
    """A stream by a file that `vocoder export --stream` made: `push` pieces, then `flush`.

    It needs onnxruntime. The audio, joined, equals that of `Vocoder.stream`, but comes in whole
    chunks. `chunk`, `rate`, `delay` and `offset` are those of the file. Raises ConfigError where
    onnxruntime is missing, CheckpointError for any other file.
    """

    def __init__(self, path: str | Path, *, threads: int = 1) -> None:
        self._session = _session(Path(path), threads)
        facts = self._session.get_modelmeta().custom_metadata_map
        if "step.chunk" not in facts:
            raise CheckpointError(
                f"{path}: not a streaming step; `vocoder export MODEL -o FILE --stream` makes one"
            )
        self.chunk, self.rate, self.delay, self.offset = (
            int(facts[f"step.{name}"]) for name in ("chunk", "rate", "delay", "offset")
        )
        declared = self._session.get_inputs()
        place = [value.name for value in declared].index("count")
        self._inputs = {value.name: tuple(value.shape[:-1]) for value in declared[:place]}
        self._states = declared[place + 1 :]
        self.reset()

    def reset(self) -> None:
        """Return to the beginning: the next piece is the first of another signal."""
        self._values = [np.zeros(s.shape, _TYPES[s.type]) for s in self._states]
        self._waiting = [np.zeros((*shape, 0), np.float32) for shape in self._inputs.values()]
        self._taken = self._made = 0
        self._ended = False

    def push(self, *pieces: Values) -> Values:
        """Take the next steps of every input, in order, and return audio that is final, maybe none.

        Raises ConfigError for other shapes and after `flush`; nothing is changed then.

        Shape: mel [M, f], f0 [f], or audio [t] → [t'].
        """
        self._waiting = self._joined(pieces)
        made = []
        while self._waiting[0].shape[-1] >= self.chunk:
            chunks = [values[..., : self.chunk] for values in self._waiting]
            self._waiting = [values[..., self.chunk :] for values in self._waiting]
            self._taken += self.chunk
            made.append(self._run(chunks, self.chunk))
        return np.concatenate([np.zeros(0, np.float32), *made])

    def flush(self) -> Values:
        """End the signal and return the rest of the audio."""
        chunks = self._joined(tuple(values[0, ..., :0] for values in self._waiting))
        self._ended = True
        count = chunks[0].shape[-1]
        self._taken += count
        total = self._taken * self.rate + self.offset if self._taken else 0
        rest = max(total - max(self._made - self.delay, 0), 0)
        made = [np.zeros(0, np.float32)]
        while self._made < self.delay + total:
            made.append(self._run([_padded(values, self.chunk) for values in chunks], count))
            chunks, count = [values[..., :0] for values in chunks], 0
        return np.concatenate(made)[:rest]

    def _run(self, chunks: list[Values], count: int) -> Values:
        """Audio of one step behind the delay.   Shape: [t]."""
        feeds = dict(zip(self._inputs, chunks, strict=True))
        feeds["count"] = np.array([count], np.int64)
        feeds.update({s.name: v for s, v in zip(self._states, self._values, strict=True)})
        audio, *self._values = self._session.run(None, feeds)
        dropped = max(self.delay - self._made, 0)
        self._made += audio.shape[-1]
        return np.asarray(audio).reshape(-1)[dropped:]

    def _joined(self, pieces: tuple[Values, ...]) -> list[Values]:
        if self._ended:
            raise ConfigError("the stream was flushed; reset() starts a new signal")
        if len(pieces) != len(self._inputs):
            names = ", ".join(self._inputs)
            raise ConfigError(f"push takes one array for each of: {names}; not {len(pieces)}")
        joined = []
        for (name, shape), piece, before in zip(
            self._inputs.items(), pieces, self._waiting, strict=True
        ):
            wanted = [size for size in shape if size != 1]
            leading = [size for size in piece.shape[:-1] if size != 1]
            if leading != wanted or piece.ndim == 0:
                raise ConfigError(
                    f"{name} has the shape {list(piece.shape)}; this step takes {[*wanted, 'f']}"
                )
            values = np.asarray(piece, np.float32).reshape(*shape, piece.shape[-1])
            joined.append(np.concatenate([before, values], axis=-1))
        if len({values.shape[-1] for values in joined}) > 1:
            raise ConfigError("the inputs have different numbers of steps")
        return joined


_TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


def _padded(values: Values, size: int) -> Values:
    """Zeros behind the steps, up to `size`."""
    behind = np.zeros((*values.shape[:-1], size - values.shape[-1]), values.dtype)
    return np.concatenate([values, behind], axis=-1)


def _session(path: Path, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(f"{path} needs onnxruntime: pip install 'vocoder[onnx]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors have no public base class
        reason = str(error).split("\n", 1)[0]
        raise CheckpointError(f"{path}: onnxruntime cannot load it: {reason}") from error
