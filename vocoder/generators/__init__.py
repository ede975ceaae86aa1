"""Networks from features to audio, one file per paper family."""

from typing import TYPE_CHECKING

from vocoder import lazy_exports

if TYPE_CHECKING:
    from vocoder.generators.bandwidth_extension.ap_bwe import APBWE as APBWE
    from vocoder.generators.bandwidth_extension.band_filler import BandFiller as BandFiller
    from vocoder.generators.bandwidth_extension.dsp_informed import (
        DSPInformed as DSPInformed,
        MelFilter as MelFilter,
    )
    from vocoder.generators.bandwidth_extension.eben import (
        EBEN as EBEN,
        DecoderBlock as DecoderBlock,
        EncoderBlock as EncoderBlock,
        ResidualUnit as ResidualUnit,
    )
    from vocoder.generators.bandwidth_extension.hifi_sr import HiFiSR as HiFiSR
    from vocoder.generators.bandwidth_extension.hifigan_bwe import HiFiGANBWE as HiFiGANBWE
    from vocoder.generators.bandwidth_extension.mossformer import (
        GatedMemory as GatedMemory,
        JointAttention as JointAttention,
        MaskNet as MaskNet,
        Memory as Memory,
        Projection as Projection,
        ScaleNorm as ScaleNorm,
    )
    from vocoder.generators.bandwidth_extension.musichifi import MusicHiFiBWE as MusicHiFiBWE
    from vocoder.generators.bandwidth_extension.seanet import SEANet as SEANet
    from vocoder.generators.base import (
        BandwidthExtender as BandwidthExtender,
        Generator as Generator,
    )
    from vocoder.generators.bigvgan import BigVGAN as BigVGAN
    from vocoder.generators.evagan import EVAGAN as EVAGAN
    from vocoder.generators.fagan import FAGAN as FAGAN
    from vocoder.generators.griffin_lim import GriffinLim as GriffinLim
    from vocoder.generators.hifigan import HiFiGAN as HiFiGAN
    from vocoder.generators.istftnet import ISTFTNet as ISTFTNet
    from vocoder.generators.melgan import (
        MelGAN as MelGAN,
        MultiBandMelGAN as MultiBandMelGAN,
        ResidualStack as ResidualStack,
    )
    from vocoder.generators.parallel_wavegan import (
        ParallelWaveGAN as ParallelWaveGAN,
        Upsampler as Upsampler,
    )
    from vocoder.generators.pitched.base import PitchedGenerator as PitchedGenerator
    from vocoder.generators.pitched.consistency import MelConsistency as MelConsistency
    from vocoder.generators.pitched.hiftnet import HiFTNet as HiFTNet
    from vocoder.generators.pitched.jdc import JDC as JDC
    from vocoder.generators.pitched.mini_nsf import MiniNSFHiFiGAN as MiniNSFHiFiGAN
    from vocoder.generators.pitched.nsf import NSFHiFiGAN as NSFHiFiGAN
    from vocoder.generators.pitched.source_filter import SourceFilter as SourceFilter
    from vocoder.generators.twin import (
        EvenOverlap as EvenOverlap,
        PolyphaseLowPass as PolyphaseLowPass,
        TwinDeconvolution as TwinDeconvolution,
    )
    from vocoder.generators.vocos import Vocos as Vocos

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "vocoder.generators.bandwidth_extension.ap_bwe": ["APBWE"],
        "vocoder.generators.bandwidth_extension.band_filler": ["BandFiller"],
        "vocoder.generators.bandwidth_extension.dsp_informed": ["DSPInformed", "MelFilter"],
        "vocoder.generators.bandwidth_extension.eben": [
            "DecoderBlock",
            "EBEN",
            "EncoderBlock",
            "ResidualUnit",
        ],
        "vocoder.generators.bandwidth_extension.hifi_sr": ["HiFiSR"],
        "vocoder.generators.bandwidth_extension.hifigan_bwe": ["HiFiGANBWE"],
        "vocoder.generators.bandwidth_extension.mossformer": [
            "GatedMemory",
            "JointAttention",
            "MaskNet",
            "Memory",
            "Projection",
            "ScaleNorm",
        ],
        "vocoder.generators.bandwidth_extension.musichifi": ["MusicHiFiBWE"],
        "vocoder.generators.bandwidth_extension.seanet": ["SEANet"],
        "vocoder.generators.base": ["BandwidthExtender", "Generator"],
        "vocoder.generators.bigvgan": ["BigVGAN"],
        "vocoder.generators.evagan": ["EVAGAN"],
        "vocoder.generators.fagan": ["FAGAN"],
        "vocoder.generators.griffin_lim": ["GriffinLim"],
        "vocoder.generators.hifigan": ["HiFiGAN"],
        "vocoder.generators.istftnet": ["ISTFTNet"],
        "vocoder.generators.melgan": ["MelGAN", "MultiBandMelGAN", "ResidualStack"],
        "vocoder.generators.parallel_wavegan": ["ParallelWaveGAN", "Upsampler"],
        "vocoder.generators.pitched.base": ["PitchedGenerator"],
        "vocoder.generators.pitched.consistency": ["MelConsistency"],
        "vocoder.generators.pitched.hiftnet": ["HiFTNet"],
        "vocoder.generators.pitched.jdc": ["JDC"],
        "vocoder.generators.pitched.mini_nsf": ["MiniNSFHiFiGAN"],
        "vocoder.generators.pitched.nsf": ["NSFHiFiGAN"],
        "vocoder.generators.pitched.source_filter": ["SourceFilter"],
        "vocoder.generators.twin": ["EvenOverlap", "PolyphaseLowPass", "TwinDeconvolution"],
        "vocoder.generators.vocos": ["Vocos"],
    },
)
