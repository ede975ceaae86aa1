"""Mutations of valid files: of their bytes, and of the structure of those kinds that have one."""

from random import Random

from tests.fuzz import structured
from tests.fuzz.raw import mutate_bytes
from tests.fuzz.seeds import Files


def mutate(rng: Random, seeds: list[Files]) -> Files:
    """A mutation of one of `seeds`: usually of one of its files, sometimes of several."""
    files = dict(rng.choice(seeds))
    names = [name for name, content in files.items() if content]
    for name in rng.sample(names, k=min(len(names), rng.choice((1, 1, 1, 1, 2)))):
        if rng.random() < 0.02:
            other = rng.choice(seeds)
            files[name] = other[rng.choice([each for each in other if other[each]])]
        else:
            files[name] = _mutated(rng, name, files[name])
    if len(names) > 1 and rng.random() < 0.01:
        del files[rng.choice(names[1:])]
    return files


def _mutated(rng: Random, name: str, content: bytes) -> bytes:
    """One to three mutations of a file."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        change, share = structured.of(name, content)
        content = (change if rng.random() < share else mutate_bytes)(rng, content)
    return content
