"""The group `vocoder bench`."""

import typer

from vocoder.cli.commands.bench import artefacts, busy, data, infer, precision, streams, train
from vocoder.cli.examples import examples

benches = typer.Typer(
    help="Measure how fast models are.",
    epilog=examples(
        "vocoder bench infer",
        "vocoder bench stream",
        "vocoder bench extend --threads 2",
    ),
    rich_markup_mode=None,
    no_args_is_help=True,
)
benches.command(
    epilog=examples(
        "vocoder bench infer --threads 1,2",
        "vocoder bench infer --system hifigan_v1 --system vocos_24k --markdown",
        "vocoder bench infer LJ_V1/generator_v1 --runtime onnx,openvino",
        "vocoder bench infer runs/mine/best --precision float32,bfloat16 -o speed.json",
    )
)(infer.infer)
benches.command(
    epilog=examples(
        "vocoder bench precision",
        "vocoder bench precision runs/mine/best speech/*.wav --threads 2 --markdown",
    )
)(precision.precision)
benches.command(
    epilog=examples(
        "vocoder bench stream --threads 2",
        "vocoder bench stream --system hifigan_v1 --system vocos_24k --markdown",
        "vocoder bench stream --model runs/mine/best --chunks 4 --pace 10 --long 60",
    )
)(streams.stream)
benches.command(
    epilog=examples(
        "vocoder bench extend --threads 2",
        "vocoder bench extend --system eben --system ap_bwe_8k_48k --markdown",
        "vocoder bench extend --model runs/mine/best --pieces 10,40 --from 16000",
    )
)(streams.extend)
benches.command(
    epilog=examples(
        "vocoder bench busy",
        "vocoder bench busy --model runs/mine/best --system hifigan_v1 --steps 3",
        "OMP_WAIT_POLICY=ACTIVE vocoder bench busy --threads 2",
    )
)(busy.busy)
benches.command(
    epilog=examples(
        "vocoder bench artefacts speech/ singing/ music/",
        "vocoder bench artefacts speech/ --count 20 --planted 10 --markdown",
        "vocoder bench artefacts a.wav b.wav --pictures found/",
    )
)(artefacts.artefacts)
benches.command(
    epilog=examples(
        "vocoder bench data manifest.csv",
        "vocoder bench data manifest.csv system=hifigan_v1 --workers 1,4 --steps-per-second 2.5",
        "vocoder bench data data.manifest=[a.csv,b.csv] data.weights=[0.7,0.3] --markdown",
    )
)(data.data)
benches.command(
    epilog=examples(
        "vocoder bench train system=hifigan_v1 data.batch_size=2 --threads 2",
        "vocoder bench train system=bigvgan_base_24k_100 discriminators=mpd_cqtd --markdown",
        "vocoder bench train system=demo --check",
    )
)(train.train)
