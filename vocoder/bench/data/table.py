"""Results of `vocoder bench data` as facts for tables, and in words."""

from vocoder.bench.data.measure import DataBenchSettings, DataSpeed, FileSpeed, LoaderSpeed, cores


def of_workers(speed: LoaderSpeed, result: DataSpeed) -> dict[str, str]:
    """Heading → cell of a number of workers."""
    return {
        "crops/s": f"{speed.crops:.0f}",
        "steps/s": f"{speed.crops / result.batch_size:.3g}",
        "MB/s of audio": f"{speed.bytes / 1e6:.1f}",
    }


def of_files(speed: FileSpeed) -> dict[str, str]:
    """Heading → cell of a kind of files."""
    return {
        "clips": str(speed.clips),
        "ms per crop": f"{1e3 * speed.seconds:.3g}",
        "crops/s": f"{1 / speed.seconds:.0f}",
        "reading": f"{100 * speed.reading:.0f} %",
        "resampling": f"{100 * speed.resampling:.0f} %",
        "kB read per crop": "—" if speed.bytes is None else f"{speed.bytes / 1e3:.0f}",
    }


def advice(result: DataSpeed, settings: DataBenchSettings) -> str:
    """How many workers the training needs, and what else helps where they are too many."""
    text = (
        f"{settings.rate:g} steps/s of {result.batch_size} crops need trainer.workers="
        f"{result.needed} on each machine that runs the whole batch"
    )
    available = cores()
    if result.needed <= available:
        return f"{text}."
    slowest = max(result.files, key=lambda each: each.seconds)
    fix = (
        "convert the recordings to the model's sample rate"
        if slowest.resampling > 0.5
        else "store them as FLAC or WAV, of some minutes at most"
    )
    return f"{text}, and there are {available} CPUs: {fix} (slowest: {slowest.kind})."
