"""The library in a TTS pipeline: load once, then mel in, audio out. No download, CPU.

python egs/library.py                      writes out/library.wav
"""

from pathlib import Path

import vocoder

HERE = Path(__file__).parent


def main() -> None:
    v = vocoder.load()  # the embedded default; a model directory works the same way

    # From an acoustic model: a float tensor or array [80, frames] by the model's own MelSpec.
    mel = vocoder.read_mel(HERE / "mels" / "LJ001-0013.npy")
    audio = v(mel.mel, spec=mel.spec)

    # A batch of different lengths is padded by the caller and trimmed by `lengths`.
    batch = mel.mel[None].repeat(2, 1, 1)
    frames = batch.shape[-1]
    both = v(batch, lengths=[frames, frames // 2])

    # From a recording, at any rate: the mel that the model takes.
    recording, rate = vocoder.read_audio(HERE / "clips" / "kathleen" / "arctic_b0264.flac")
    copy = v(v.mel(recording, sample_rate=rate))

    vocoder.write_audio("out/library.wav", audio, v.sample_rate)
    print(f"{len(audio) / v.sample_rate:.2f} s, batch {list(both.shape)}, copy {list(copy.shape)}")


if __name__ == "__main__":
    main()
