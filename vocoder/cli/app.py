"""The `vocoder` command: it parses arguments, calls the package and sets the exit code.

Other modules are imported inside the commands, so that `--help` is instant and no command needs an
extra that it does not use.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from vocoder import __version__
from vocoder.cli.commands import (
    deployment,
    doctor,
    evaluation,
    inference,
    listening,
    models,
    pictures,
    runs,
    streaming,
    training,
)
from vocoder.cli.commands.bench.group import benches
from vocoder.cli.examples import examples
from vocoder.errors import ConfigError, VocoderError
from vocoder.io.upgrade import FLAGS
from vocoder.threads import prepare_environment

_HELP = """Neural vocoders: turn mel spectrograms into audio, and train models that do it.

\b
Examples:
  vocoder mel speech/ -o mels/           recordings to mel files
  vocoder vocode mels/*.npy -o out/      mel files to audio
  vocoder resynth a.wav b.mp3 -o out/    audio to mel and back
  vocoder stream --wav < a.npy > a.wav   mels to audio, as they arrive
  vocoder extend phone.wav -o wide.wav   narrow-band recordings to full band
  vocoder info                           the built-in models
  vocoder import g_02500000 -o models/a  another project's checkpoint
  vocoder systems                        what can be trained
  vocoder evaluate speech/ out/ -o rep/  scores, and a page to hear and see it
  vocoder doctor a.npy                   what it is, and what is wrong with it

\b
Exit codes:
  0    success
  2    wrong usage or bad input: one line on stderr for each problem;
       a batch continues with the other files
  130  stopped by Ctrl-C; no file is left half-written

Help for a command: vocoder COMMAND --help
"""

# Options of release 0.1 that have another name today, by command.
_OLD_OPTIONS = {"extend": ("--to", "--edge", "--keep", "--no-keep"), "evaluate": ("--edge",)}

app = typer.Typer(
    help=_HELP,
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(requested: bool) -> None:
    if requested:
        typer.echo(__version__)
        raise typer.Exit


def _trust(modules: list[str]) -> None:
    """Let configurations name classes of `modules`: installed ones, or files of this directory.

    The directory is searched last, so that its files do not hide installed packages. Raises
    ConfigError for a module that cannot be imported.
    """
    from vocoder.build import trust

    sys.path.append(os.getcwd())
    for module in modules:
        trust(module)
        try:
            importlib.import_module(module)
        except Exception as error:  # it is the user's code, which may raise anything
            reason = (str(error).splitlines() or [""])[0]
            raise ConfigError(
                f"--trust {module}: cannot be imported ({type(error).__name__}: {reason})"
            ) from error


@app.callback()
def options(
    trust: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE",
            help="Let configurations and models name classes of this Python module or package, "
            "installed or in the current directory. Its code is run. Repeat for more.",
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Options before the command."""
    if trust:
        _trust(trust)


app.command(
    epilog=examples(
        "vocoder mel speech/ -o mels/",
        "vocoder mel a.wav -o a.safetensors --preset vocos_24k_100",
    )
)(inference.mel)
app.command(
    epilog=examples(
        "vocoder vocode mels/*.npy -o out/",
        "vocoder vocode a.pt -o a.flac --model runs/mine/best",
        "vocoder vocode mels/ -o out/ --model griffin-lim",
    )
)(inference.vocode)
app.command(
    epilog=examples(
        "vocoder resynth speech/*.wav -o out/",
        "vocoder resynth a.flac -o a.wav --model griffin-lim --preset bigvgan_24k_100",
    )
)(inference.resynth)
app.command(
    epilog=examples(
        "vocoder extend phone.wav -o wide.wav",
        "vocoder extend tapes/ -o out/ --output-rate 44100 --format flac",
        "vocoder extend ear.wav -o a.wav --model runs/eben/best --no-preserve-low-band",
    )
)(inference.extend)
app.command(
    epilog=examples(
        "vocoder stream < a.npy | aplay -f S16_LE -r 22050",
        "vocoder stream --wav --realtime < a.npy | ffplay -nodisp -autoexit -",
        "vocoder stream --mel-format f32 --audio-format f32 < mels.f32 > audio.f32",
    )
)(streaming.stream)
app.command(
    epilog=examples(
        "vocoder info",
        "vocoder info default",
        "vocoder info runs/mine/best --json",
    )
)(models.info)
app.command(
    "import",
    epilog=examples(
        "vocoder import LJ_V1/generator_v1 -o models/lj",
        "vocoder import checkpoint-400000steps.pkl --config config.yml -o models/pwg",
        "vocoder import g_05000000 --discriminators do_05000000 -o models/g",
    ),
)(models.import_)
app.command(
    epilog=examples(
        "vocoder export default -o default.onnx",
        "vocoder export runs/mine/best -o mine.onnx --opset 20 --dft",
        "vocoder export extender -o extender.onnx --no-check",
        "vocoder export runs/mine/best -o step.onnx --stream --chunk 4",
    )
)(deployment.export)
app.command(epilog=examples("vocoder tune", "vocoder tune runs/mine/best --threads 2"))(
    deployment.tune
)
app.command(
    epilog=examples(
        "vocoder prepare speech/ -o manifest.csv",
        "vocoder prepare data/ -o lj.csv --index data/index.csv --only speaker=lj",
        "vocoder prepare wavs/ --mels predicted/ --preset hifigan_22k_80 -o pairs.csv",
        "vocoder prepare close_talk/ --narrowband in_ear/ -o pairs.csv",
    )
)(training.prepare)
app.command(epilog=examples("vocoder systems", "vocoder systems --markdown"))(training.systems)
app.command(
    context_settings={"ignore_unknown_options": True},
    epilog=examples(
        "vocoder train system=hifigan_v1 data.manifest=manifest.csv",
        "vocoder train system=demo data.manifest=manifest.csv trainer.max_steps=500",
        "vocoder train system=hifigan_v1 data.manifest=m.csv trainer.init_from=models/g",
        "vocoder train -m system=hifigan_v2,vocos_24k data.manifest=manifest.csv",
        "vocoder --trust own train --config-dir conf system=own data.manifest=m.csv",
    ),
)(training.train)
app.command(
    epilog=examples(
        "vocoder evaluate speech/ out/",
        "vocoder evaluate speech/ out/mine out/griffin-lim -o report/",
        "vocoder evaluate speech/ --model runs/mine/best --model default -o report/",
        "vocoder evaluate speech/ wide/mine wide/sinc --cutoff 4000",
        "vocoder evaluate speech/ out/ --metrics lsd,pesq_wb",
    )
)(evaluation.evaluate)
app.command(
    "listen-test",
    epilog=examples(
        "vocoder listen-test speech/ out/mine out/griffin-lim -o test.html",
        "vocoder listen-test speech/ out/mine -o abx.html --kind abx --trials 16",
        "vocoder listen-test speech/ out/a out/b -o ab.html --kind ab --compare systems",
        "vocoder listen-test speech/ out/a out/b -o t.html --scores report/scores.json",
    ),
)(listening.listen_test)
app.command(
    "listen-results",
    epilog=examples(
        "vocoder listen-results answers/",
        "vocoder listen-results answers/*.json -o results.json --page results.html",
        "vocoder listen-results answers/ --markdown --picture ratings.pdf",
    ),
)(listening.listen_results)
app.command(
    epilog=examples(
        "vocoder plot a.wav b.wav -o compared.png --difference",
        "vocoder plot a.wav -o a.pdf --axis log --f0 --from 1.2 --to 2.5",
        "vocoder plot mel.npy a.wav -o mels.svg --panels mel --preset hifigan_22k_80",
    )
)(pictures.plot)
app.command(
    epilog=examples(
        "vocoder report runs/mine -o mine.html",
        "vocoder report runs/a runs/b -o compared.html",
        "vocoder report multirun/ -o all.html --reference recipes/demo/curve.jsonl",
    )
)(pictures.report)
app.command(
    epilog=examples(
        "vocoder doctor predicted.npy",
        "vocoder doctor predicted.npy --model runs/mine/best --recording speech/a.wav",
        "vocoder doctor speech/a.wav runs/mine default --json",
    )
)(doctor.doctor)
app.add_typer(benches, name="bench")
app.add_typer(runs.group, name="runs")


def main() -> None:
    """Entry point: bad input ends with one line on stderr and exit code 2."""
    prepare_environment()
    try:
        _refuse_old_options(sys.argv[1:])
        app(prog_name="vocoder")
    except VocoderError as error:
        from vocoder.cli.progress import report

        sys.exit(report([str(error)]))


def _refuse_old_options(arguments: Sequence[str]) -> None:
    """Raise ConfigError for an option of an earlier release; the message has its new name."""
    rest = list(arguments)
    while rest and rest[0].startswith("-"):  # options before the command
        del rest[: 2 if rest[0] == "--trust" else 1]
    old = _OLD_OPTIONS.get(rest[0], ()) if rest else ()
    for argument in rest:
        if argument == "--":  # only file names follow
            return
        name = argument.partition("=")[0]
        if name in old:
            raise ConfigError(f"{name}: since 0.2 this is {FLAGS[name]}")
