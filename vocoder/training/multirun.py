"""Several trainings by one command (`vocoder train -m`): where they go, and which failed."""

import logging
from collections.abc import Sequence

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from vocoder.errors import VocoderError
from vocoder.training.parallel.ranks import ReportedElsewhereError

log = logging.getLogger(__name__)


def with_folder(arguments: Sequence[str]) -> list[str]:
    """Hydra's arguments; with -m and `trainer.output=DIR`, the jobs go to DIR/0 and on.

    Then repeating the command resumes them.
    """
    output = [each for each in arguments if each.startswith("trainer.output=")]
    several = any(each in ("-m", "--multirun") for each in arguments)
    if not several or not output or any(each.startswith("hydra.sweep.dir=") for each in arguments):
        return list(arguments)
    return [*arguments, f"hydra.sweep.dir={output[-1].partition('=')[2]}"]


class Jobs:
    """The jobs of a command, of which a failing one does not keep the next from running."""

    def __init__(self) -> None:
        self.count = 0
        self.failures: list[tuple[str, VocoderError]] = []

    def begin(self) -> None:
        """Count a job that begins."""
        self.count += 1

    def failed(self, error: VocoderError) -> None:
        """Note that the present job has failed and, if others may follow, log it."""
        config = HydraConfig.get()
        name = f"{config.runtime.output_dir} ({' '.join(config.overrides.task)})"
        self.failures.append((name, error))
        if config.mode == RunMode.MULTIRUN:
            log.error("failed: %s: %s", name, error)

    @property
    def error(self) -> VocoderError | None:
        """What is to be raised in the end; None if no job failed."""
        if not self.failures:
            return None
        if self.count == 1 or isinstance(self.failures[0][1], ReportedElsewhereError):
            return self.failures[0][1]
        named = "; ".join(f"{name}: {error}" for name, error in self.failures)
        return VocoderError(f"{len(self.failures)} of {self.count} trainings failed: {named}")
