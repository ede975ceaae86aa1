"""Designs of listening tests: trials of sounds equally loud, under codes in place of names."""

import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from vocoder.errors import AudioError, ConfigError
from vocoder.evaluation.comparison import Evaluation
from vocoder.evaluation.listening.page_selection import worst_first
from vocoder.evaluation.listening.trials.selection import choose_utterances
from vocoder.evaluation.listening.trials.stimuli import (
    REFERENCE,
    Stimuli,
    anchor_name,
    load_stimuli,
)
from vocoder.evaluation.metrics.loudness import loudness
from vocoder.evaluation.pairing import find_pairs

TestKind = Literal["mushra", "abx", "ab"]
Compared = Literal["reference", "systems", "all"]
Role = Literal["practice", "test", "control"]
TARGET_LUFS = -23.0
CONTROL_ANCHOR = 3500.0  # Hz; against the recording, anyone who listens hears it
MOST_CONDITIONS = 9  # of a MUSHRA trial: one key each; BS.1534-3 allows 12
_DEFAULT_TRIALS = 10


@dataclass(frozen=True, kw_only=True)
class TestSettings:
    """What a listening test is made of.

    Args:
        kind: MUSHRA-style ratings, ABX discrimination or AB preference.
        trials: Trials with all systems (mushra), or for each comparison; None for ten, or as many
            as there are utterances.
        seed: Of the choice of utterances and the codes.
        anchors: Hz that low-passed references of MUSHRA trials reach.
        compared: Whether ABX and AB set systems against the recordings, each other, or both.
        controls: ABX and AB trials of the recording against a low-passed one.
        longest: Most seconds of an utterance to play.
        scores: What `vocoder evaluate` saved; utterances are spread over its ranks.
    """

    __test__ = False  # or pytest takes the class for tests

    kind: TestKind = "mushra"
    trials: int | None = None
    seed: int = 0
    anchors: tuple[float, ...] = (3500.0,)
    compared: Compared = "reference"
    controls: int = 4
    longest: float = 12.0
    scores: Path | None = None


@dataclass(frozen=True)
class Stimulus:
    """A sound of a test, by the gain in dB that was applied to it. Shape of the audio: [C, T]."""

    utterance: str
    condition: str
    """A system, an anchor, or "reference"."""
    audio: Tensor
    sample_rate: int
    gain: float


@dataclass(frozen=True)
class ListeningTrial:
    """Sounds to compare, by their codes: all conditions of MUSHRA, or the two of ABX and AB."""

    code: str
    role: Role
    utterance: str
    seconds: float
    sounds: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ListeningTest:
    """A test to put into a page. `sounds` are by their codes, `references` by utterance."""

    settings: TestSettings
    systems: tuple[str, ...]
    trials: tuple[ListeningTrial, ...]
    sounds: Mapping[str, Stimulus]
    references: Mapping[str, str]
    level: float
    """Loudness of all sounds in LUFS."""
    notes: tuple[str, ...]

    @property
    def minutes(self) -> int:
        """About how long it takes: three minutes, and each sound three times."""
        heard = sum(3 * (len(trial.sounds) + 1) * trial.seconds for trial in self.trials)
        return math.ceil(3 + heard / 60)


def design_test(
    reference: Path,
    systems: Mapping[str, Path],
    settings: TestSettings,
    *,
    on_file: Callable[[str], None] | None = None,
) -> ListeningTest:
    """Choose utterances, read their sounds and make the trials.

    One more utterance than `trials` is for practice, where there is one. Raises ConfigError for
    settings that make no test, AudioError for files that cannot be read.

    Args:
        reference: Folder of the recordings.
        systems: Folder of each system.
        settings: The kind of test, its length, and more.
        on_file: Called with each utterance before it is read.
    """
    _check(systems, settings)
    rng = random.Random(settings.seed)
    files, notes = _common_files(reference, systems)
    names, practice = _chosen(files, settings, rng)
    stimuli = {}
    for name in dict.fromkeys([*names, practice]):
        if on_file is not None:
            on_file(name)
        stimuli[name] = _stimuli(name, files[name], settings)
        notes.extend(stimuli[name].notes)
    sounds, level, more = _equally_loud(list(stimuli.values()), _codes(rng))
    codes = {(s.utterance, s.condition): code for code, s in sounds.items()}
    trials = list(_trials(names, practice, list(systems), settings))
    return ListeningTest(
        settings=settings,
        systems=tuple(systems),
        trials=tuple(
            ListeningTrial(
                code, role, name, stimuli[name].seconds, tuple(codes[name, c] for c in conditions)
            )
            for code, (role, name, conditions) in zip(_codes(rng), trials, strict=False)
        ),
        sounds=_used(sounds, trials),
        references={name: codes[name, REFERENCE] for name in stimuli},
        level=level,
        notes=(*notes, *more),
    )


def _check(systems: Mapping[str, Path], settings: TestSettings) -> None:
    anchors = [anchor_name(hertz) for hertz in settings.anchors]
    for name in systems:
        if name in (REFERENCE, *anchors):
            raise ConfigError(f"a system cannot be called {name!r} in a test; rename its folder")
    conditions = len(systems) + len(anchors) + 1
    if settings.kind == "mushra" and conditions > MOST_CONDITIONS:
        raise ConfigError(
            f"{conditions} sounds in a trial, with the hidden reference and the anchors; listeners "
            f"have {MOST_CONDITIONS} keys: leave out systems, or make two tests"
        )
    if settings.kind != "mushra" and settings.compared == "systems" and len(systems) < 2:
        raise ConfigError("to compare systems with each other, name two or more")


def _common_files(
    reference: Path, systems: Mapping[str, Path]
) -> tuple[dict[str, dict[str, Path]], list[str]]:
    """Files of the utterances that all have, by condition; and a note on the others."""
    pairs = {system: find_pairs(reference, folder)[0] for system, folder in systems.items()}
    found: dict[str, dict[str, Path]] = {}
    for system, of_system in pairs.items():
        for pair in of_system:
            known = found.setdefault(pair.name, {REFERENCE: pair.reference})
            known[system] = pair.estimate
    common = {name: files for name, files in found.items() if len(files) == len(systems) + 1}
    if not common:
        raise AudioError(f"no utterance of {reference} is in all of {', '.join(systems)}")
    left_out = len(found) - len(common)
    notes = [f"{left_out} utterances are left out: not every system has them"] if left_out else []
    return common, notes


def _chosen(
    files: Mapping[str, object], settings: TestSettings, rng: random.Random
) -> tuple[list[str], str]:
    """Names for the trials, and one for practice."""
    names = sorted(files)
    if settings.scores is not None:
        ranked = worst_first(Evaluation.load(settings.scores))
        if missing := [name for name in names if name not in ranked]:
            raise ConfigError(f"{settings.scores}: no scores of {missing[0]}; evaluate again")
        names = [name for name in ranked if name in files]
    most = max(1, len(names) - 1)
    wanted = min(_DEFAULT_TRIALS, most) if settings.trials is None else settings.trials
    if settings.kind == "mushra" and wanted > len(names):
        raise ConfigError(f"--trials {wanted}: all systems have only {len(names)} utterances")
    chosen = choose_utterances(names, wanted, rng, ranked=settings.scores is not None)
    others = [name for name in names if name not in chosen]
    return chosen, rng.choice(others or chosen)


def _stimuli(name: str, files: Mapping[str, Path], settings: TestSettings) -> Stimuli:
    others = {system: path for system, path in files.items() if system != REFERENCE}
    anchors = settings.anchors if settings.kind == "mushra" else (CONTROL_ANCHOR,)
    return load_stimuli(name, files[REFERENCE], others, anchors=anchors, longest=settings.longest)


def _equally_loud(
    stimuli: Sequence[Stimuli], codes: Iterator[str]
) -> tuple[dict[str, Stimulus], float, list[str]]:
    """All sounds by code, of one loudness and within full scale; that loudness; notes.

    A sound without any loudness stays as it is; a recording without is an error.
    """
    levels = {(s.utterance, n): loudness(a, s.sample_rate) for s in stimuli for n, a in _all(s)}
    for (utterance, name), level in levels.items():
        if name == REFERENCE and not math.isfinite(level):
            raise AudioError(f"{utterance}: the recording is silent; remove it from the folder")
    peaks = {(s.utterance, n): float(a.abs().max()) for s in stimuli for n, a in _all(s)}
    highest = max(
        20.0 * math.log10(peaks[key]) - level for key, level in levels.items() if level > -math.inf
    )
    # A hundredth below full scale, for the rounding to 16 bits.
    target = min(TARGET_LUFS, -highest - 0.1)
    found = {}
    for each in stimuli:
        for name, audio in _all(each):
            level = levels[each.utterance, name]
            gain = target - level if math.isfinite(level) else 0.0
            scaled = audio * 10.0 ** (gain / 20.0)
            found[next(codes)] = Stimulus(each.utterance, name, scaled, each.sample_rate, gain)
    notes = [
        f"{utterance}: {name} is silent"
        for (utterance, name), level in levels.items()
        if not math.isfinite(level)
    ]
    if target < TARGET_LUFS:
        notes.append(f"all sounds have {target:.1f} LUFS, for {TARGET_LUFS:g} would clip one")
    return found, target, notes


def _all(stimuli: Stimuli) -> Iterator[tuple[str, Tensor]]:
    yield from stimuli.sounds.items()


def _trials(
    names: Sequence[str], practice: str, systems: Sequence[str], settings: TestSettings
) -> Iterator[tuple[Role, str, tuple[str, ...]]]:
    """Role, utterance and conditions of each trial; the practice is the first."""
    if settings.kind == "mushra":
        anchors = [anchor_name(hertz) for hertz in settings.anchors]
        conditions = (REFERENCE, *systems, *anchors)
        yield "practice", practice, conditions
        yield from (("test", name, conditions) for name in names)
        return
    control = (REFERENCE, anchor_name(CONTROL_ANCHOR))
    yield "practice", practice, control
    count = len(names) if settings.trials is None else settings.trials
    for pair in _comparisons(systems, settings.compared):
        yield from (("test", names[i % len(names)], pair) for i in range(count))
    yield from (("control", names[i % len(names)], control) for i in range(settings.controls))


def _comparisons(systems: Sequence[str], compared: Compared) -> list[tuple[str, str]]:
    with_reference = [(REFERENCE, system) for system in systems]
    among = list(itertools.combinations(systems, 2))
    return {"reference": with_reference, "systems": among, "all": with_reference + among}[compared]


def _used(
    sounds: Mapping[str, Stimulus], trials: Sequence[tuple[Role, str, tuple[str, ...]]]
) -> dict[str, Stimulus]:
    """The sounds of the trials and all references."""
    used = {(name, condition) for _, name, conditions in trials for condition in conditions}
    return {
        code: sound
        for code, sound in sounds.items()
        if (sound.utterance, sound.condition) in used or sound.condition == REFERENCE
    }


def _codes(rng: random.Random) -> Iterator[str]:
    """Codes that tell nothing, each once."""
    seen = set()
    while True:
        code = f"{rng.getrandbits(32):08x}"
        if code not in seen:
            seen.add(code)
            yield code
