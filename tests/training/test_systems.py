"""Every system in configs/system builds, trains, saves, resumes and generates audio."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import vocoder
from vocoder.build import build
from vocoder.features.mel import PRESETS, MelSpec
from vocoder.generators.base import Generator
from vocoder.nn.weight_norm import count_weights
from vocoder.training.run import compose, config_folder

from .conftest import composed, settings, trainer

TWO_STEPS = "trainer.max_steps=2"
SYSTEMS = sorted(path.stem for path in (config_folder() / "system").glob("*.yaml"))
# Weights of every generator, weight norm folded in. Those of the released configurations equal the
# published figures; the others follow from the same networks.
SIZES = {
    "vocos_small_22k": 1_202_754,
    "ap_bwe_12k_48k": 29_760_515,
    "ap_bwe_16k_48k": 29_760_515,
    "ap_bwe_24k_48k": 29_760_515,
    "ap_bwe_2k_16k": 29_760_515,
    "ap_bwe_48k": 29_760_515,
    "ap_bwe_4k_16k": 29_760_515,
    "ap_bwe_8k_16k": 29_760_515,
    "ap_bwe_8k_48k": 29_760_515,
    "bigvgan_22k_80": 112_199_473,
    "bigvgan_24k_100": 112_414_513,
    "bigvgan_base_22k_80": 13_943_361,
    "bigvgan_base_24k_100": 14_015_041,
    "bigvgan_base_24k_causal": 14_015_041,
    "bigvgan_v2_22k_80": 112_199_472,
    "bigvgan_v2_22k_80_fmax8k": 112_199_472,
    "bigvgan_v2_24k_100": 112_414_512,
    "bigvgan_v2_44k_128_256x": 112_715_568,
    "bigvgan_v2_44k_128_512x": 122_152_752,
    "bigvsan_24k": 112_387_273,
    "source_filter_22k": 3_432_894,
    "demo": 1_202_754,
    "dsp_informed_8k_48k": 9_834_409,
    "eben": 1_941_984,
    "eben_vibravox": 1_942_080,
    "evagan": 197_548_673,
    "evagan_small": 4_509_361,
    "band_filler_48k": 3_632_130,
    "fagan": 13_926_017,
    "hifi_sr": 109_627_203,
    "hifigan_24k": 13_997_697,
    "hifigan_44k": 14_132_545,
    "hifigan_48k": 13_938_305,
    "hifigan_bwe": 1_055_105,
    "hifigan_v1": 13_926_017,
    "hifigan_v1_causal": 13_926_017,
    "hifigan_v2": 925_985,
    "hifigan_v3": 1_462_273,
    "hiftnet_22k": 20_681_565,
    "istftnet_v1": 13_254_034,
    "istftnet_v2": 886_642,
    "istftnet_v3": 1_422_802,
    "mb_melgan": 2_534_356,
    "melgan": 4_260_257,
    "melgan_large": 13_117_249,
    "musichifi_bwe": 14_148_161,
    "nsf_hifigan_44k": 14_755_218,
    "pwg_24k": 1_334_311,
    "pwg_v1": 1_334_309,
    "specdiffgan": 13_926_017,
    "specdiffgan_44k": 14_132_545,
    "unified_bwe": 13_938_305,
    "vocos_22k": 13_459_970,
    "vocos_24k": 13_531_650,
    "vocos_24k_causal": 13_531_650,
    "vocos_24k_hop128": 13_531_650,
    "vocos_44k": 14_157_314,
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_name_and_parameter_count(name: str) -> None:
    values = composed(name, TWO_STEPS)
    assert values["name"] == name
    with torch.device("meta"):
        generator = build(values["generator"])
    assert count_weights(generator) == SIZES[name]


def assert_length_law(generator: Generator, mel: MelSpec) -> None:
    """The generator makes `generator.samples(F)` finite samples of F frames of silence."""
    for frames in (1, 2, 13):
        if "narrowband" in generator.features:
            inputs = {"narrowband": torch.zeros(1, 1, frames * generator.hop_length)}
        else:
            inputs = {"mel": torch.tensor(mel.silence)[:, None].expand(-1, frames)[None]}
        with torch.inference_mode():
            audio = generator(**inputs)
        assert audio.shape == (1, 1, generator.samples(frames))
        assert torch.isfinite(audio).all()


# Networks that another system has, too, at another size: `make slow` trains these.
LIKE_ANOTHER = {
    *("ap_bwe_12k_48k", "ap_bwe_16k_48k", "ap_bwe_24k_48k", "ap_bwe_2k_16k", "ap_bwe_4k_16k"),
    *("ap_bwe_48k", "ap_bwe_8k_16k", "bigvgan_22k_80", "bigvgan_24k_100", "bigvgan_base_22k_80"),
    *("bigvgan_base_24k_100", "bigvgan_v2_22k_80", "bigvgan_v2_22k_80_fmax8k"),
    *("bigvgan_v2_24k_100", "bigvgan_v2_44k_128_256x", "bigvsan_24k", "eben_vibravox"),
    *("evagan_small", "hifigan_24k", "hifigan_44k", "hifigan_48k", "hifigan_v2", "istftnet_v2"),
    *("melgan_large", "pwg_24k", "specdiffgan_44k", "vocos_22k", "vocos_24k_hop128", "vocos_44k"),
}
# And those that take longest.
LONG = {
    *("bigvgan_v2_44k_128_512x", "dsp_informed_8k_48k", "evagan", "hifi_sr", "hiftnet_22k"),
    *("musichifi_bwe", "unified_bwe"),
}


@pytest.mark.usefixtures("blank_pictures")
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow if n in LIKE_ANOTHER | LONG else ()) for n in SYSTEMS],
)
def test_system_has_its_length_law_trains_saves_resumes_loads_and_generates_audio(
    name: str,
    manifest: Path,
    full_band: Path,
    tmp_path: Path,
    clips: list[Path],
    streaming_error: Callable[..., float],
) -> None:
    wide = composed(name, TWO_STEPS)["mel"]["sample_rate"] > 24000
    extends = "narrowband" in composed(name, TWO_STEPS)["features"]
    recordings = full_band if wide else manifest
    values = settings(name, recordings, tmp_path / "run", TWO_STEPS)
    run = trainer(values)
    generator = run.generator.eval()
    assert_length_law(generator, run.system.mel)
    generator.train()

    before = [weight.clone() for weight in generator.parameters()]
    assert run.run() == 0
    changed = [not torch.equal(a, b) for a, b in zip(before, generator.parameters(), strict=True)]
    assert any(changed)

    if extends:  # for the others, tests of the trainer are enough
        values["trainer"]["max_steps"] = 3
        again = trainer(values)
        again.resume()
        assert again.step == 2
        resumed = zip(again.generator.parameters(), generator.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in resumed)
        assert again.run() == 0
        assert again.step == 3

    audio, rate = vocoder.read_audio(clips[0])
    audio = audio[..., : rate // 8 + 1]
    if extends:
        extender = vocoder.load_extender(tmp_path / "run" / "last")
        wider = extender(audio.numpy(), sample_rate=rate, cutoff=rate / 8)
        assert wider.shape == (1, round(audio.shape[-1] * extender.sample_rate / rate))
        assert np.isfinite(wider).all()
        assert np.abs(wider).max() > 0
        return
    v = vocoder.load(tmp_path / "run" / "last")
    fake = v.resynth(audio.numpy(), sample_rate=rate)
    assert fake.shape == (round(audio.shape[-1] * v.sample_rate / rate),)
    assert np.isfinite(fake).all()
    assert np.abs(fake).max() > 0
    assert streaming_error(v, f0="pitch" in values["generator"] and "hiftnet" in name) < 1e-5


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_is_an_option_of_the_group_mel(name: str) -> None:
    values = compose(["system=hifigan_v1", "data.manifest=none", f"mel={name}"])
    assert build(values["mel"]) == MelSpec.preset(name)
