"""Projects that are recognised by the names of their weights, but not imported."""

import re
from collections.abc import Iterable
from typing import NamedTuple


class Unsupported(NamedTuple):
    """What a checkpoint is, and patterns each of which begins the name of one of its weights."""

    title: str
    patterns: tuple[str, ...]


_ACOUSTIC = "an acoustic model, which makes mels from text; a vocoder makes audio from mels"
_LATENT = "a whole model, whose decoder takes a latent instead of a mel"
_CODEC = "a codec, whose decoder takes codes instead of a mel"

_DISCRIMINATORS = re.compile(r"(model\.)?(discriminators\.\d|disc_\d|mpd\.|msd\.|mrd\.).*")

UNSUPPORTED = (
    Unsupported("UnivNet", (r".*\bkernel_predictor\.",)),
    Unsupported("WaveGlow", (r"WN\.0\.", r"convinv\.0\.")),
    Unsupported("WaveNet (r9y9/wavenet_vocoder)", (r"conv_layers\.0\.conv1x1c\.", r"first_conv\.")),
    Unsupported("WaveRNN (fatchord/WaveRNN)", (r"I\.weight", r"rnn1\.", r"fc1\.")),
    Unsupported("DiffWave", (r"diffusion_embedding\.", r"residual_layers\.0\.")),
    Unsupported("APNet or FreeV", (r"(ASP|PSP)_(input_conv|ResNet|output_.*|conv.*)\.",)),
    Unsupported("WaveGrad", (r"downsample\.", r"film\.")),
    Unsupported("MelGAN of seungwonpark/melgan", (r".*\d\.shortcuts\.0\.", r".*\d\.blocks\.0\.")),
    Unsupported(f"VITS, so-vits-svc or RVC: {_LATENT}", (r"enc_p\.", r"(dec|flow)\.")),
    Unsupported(f"VITS (transformers): {_LATENT}", (r"flow\.flows\.", r"text_encoder\.")),
    Unsupported(f"StyleTTS 2 or Kokoro: {_LATENT}", (r"decoder\.", r"predictor\.", r"bert\.")),
    Unsupported(f"EnCodec: {_CODEC}", (r"quantizer\.(vq\.)?layers\.0\.", r"decoder\.")),
    Unsupported(f"Descript Audio Codec: {_CODEC}", (r"quantizer\.quantizers\.0\.", r"decoder\.")),
    Unsupported(f"Tacotron 2: {_ACOUSTIC}", (r"decoder\.attention_rnn\.", r"postnet\.")),
    Unsupported(f"Tacotron: {_ACOUSTIC}", (r"encoder\.(cbhg|prenet|pre_net)\.", r"decoder\.")),
    Unsupported(
        f"FastSpeech 2 or FastPitch: {_ACOUSTIC}",
        (r".*\b(duration_predictor|duration_proj)\.", r".*\b(pitch_predictor|energy_predictor)\."),
    ),
    Unsupported(f"FastSpeech 2: {_ACOUSTIC}", (r"variance_adaptor\.", r"(mel_linear|decoder)\.")),
    Unsupported(f"Glow-TTS, Grad-TTS or Matcha-TTS: {_ACOUSTIC}", (r"encoder\.proj_m\.",)),
)


def unsupported(weights: Iterable[str]) -> str | None:
    """What a checkpoint with these names of weights is, if it is known but not imported."""
    names = list(weights)
    if names and all(map(_DISCRIMINATORS.match, names)):
        return "discriminators; give the file of the generator"
    for title, patterns in UNSUPPORTED:
        if all(any(re.match(pattern, name) for name in names) for pattern in patterns):
            return title
    return None
