"""Handling of SIGTERM and SIGINT in a training run."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_NUMBERS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def signals_passed_to(receive: Callable[[int], None]) -> Iterator[None]:
    """Within the block, SIGTERM and SIGINT call `receive` with their number and end nothing."""

    def handle(number: int, _frame: object) -> None:
        receive(number)

    before = {number: signal.signal(number, handle) for number in _NUMBERS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def signals_held(receive: Callable[[int], None]) -> Iterator[None]:
    """Within the block, SIGTERM and SIGINT call `receive`; after it they have no effect.

    For one of several processes, which ends with the block: a launcher that has seen another one
    end sends a signal, which must not keep this one from saying why it ends.
    """
    try:
        for number in _NUMBERS:
            signal.signal(number, lambda each, _frame: receive(each))
        yield
    finally:
        for number in _NUMBERS:
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def signals_ignored() -> Iterator[None]:
    """Within the block, and after it if it ends the process, SIGTERM and SIGINT have no effect.

    The trainer handles the first one. Ranks then wait for each other, and launchers and impatient
    people send more than one: the next must not end a rank that others still need.
    """
    # SIG_IGN and not a function: the interpreter resets those while it exits.
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _NUMBERS}
    try:
        yield
    finally:
        if not isinstance(sys.exception(), SystemExit):
            for number, handler in before.items():
                signal.signal(number, handler)
