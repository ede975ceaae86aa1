"""The command: python -m tests.fuzz READER --runs N --seed S."""

import argparse
import sys
from pathlib import Path

from tests.fuzz.harness import fuzz, report
from tests.fuzz.readers import READERS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("reader", choices=[*READERS, "all"])
    parser.add_argument("--runs", type=int, default=1000, help="of each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="number of the first run")
    parser.add_argument("--seconds", type=float, help="in all, instead of --runs")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the files of faults here")
    parser.add_argument("--results", action="store_true", help="count where files are refused")
    given = parser.parse_args()
    names = list(READERS) if given.reader == "all" else [given.reader]
    faulty = 0
    for name in names:
        result = fuzz(
            name,
            seed=given.seed,
            start=given.start,
            runs=10**9 if given.seconds else given.runs,
            seconds=given.seconds / len(names) if given.seconds else None,
            keep=given.keep,
        )
        print(report(result), flush=True)
        for text, count in result.results.most_common() if given.results else ():
            print(f"  {count:5} × {text}")
        faulty += len(result.faults)
    return 1 if faulty else 0


sys.exit(main())
