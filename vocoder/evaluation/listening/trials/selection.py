"""Which utterances a listening test plays: some of every speaker, spread over the scores."""

import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath


def choose_utterances(
    names: Sequence[str], count: int, rng: random.Random, *, ranked: bool = False
) -> list[str]:
    """Choose `count` of the names, equally many of each folder (mostly a speaker) as far as it has.

    Names that are `ranked` by scores are taken evenly from the first to the last of a folder,
    others at random. All are returned if there are no more.

    >>> choose_utterances(["a/1", "a/2", "a/3", "b/1"], 2, random.Random(0), ranked=True)
    ['a/2', 'b/1']
    """
    folders: dict[str, list[str]] = defaultdict(list)
    for name in names:
        folders[str(PurePosixPath(name).parent)].append(name)
    quotas = dict.fromkeys(folders, 0)
    order = rng.sample(list(folders), len(folders))  # which folders give one more, where unequal
    remaining = min(count, len(names))
    while remaining:
        for folder in order:
            if remaining and quotas[folder] < len(folders[folder]):
                quotas[folder] += 1
                remaining -= 1
    chosen = []
    for folder, quota in quotas.items():
        found = folders[folder] if ranked else rng.sample(folders[folder], len(folders[folder]))
        # The middles of equal parts.
        chosen += [found[(2 * i + 1) * len(found) // (2 * quota)] for i in range(quota)]
    return sorted(chosen)
