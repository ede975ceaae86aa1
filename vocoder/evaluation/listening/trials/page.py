"""The page of a listening test: one file that listeners open, and that saves their answers."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vocoder import __version__
from vocoder.errors import ConfigError
from vocoder.evaluation.listening.trials.design import ListeningTest, ListeningTrial, TestKind
from vocoder.pages.media import audio_data, envelope
from vocoder.pages.page import write_page

KEY_VERSION = 1  # of the results file
_TEMPLATE = Path(__file__).parent / "templates" / "listening_test.html"
_STYLES = ("listening_test.css",)
_SCRIPTS = (
    *("player.js", "waveform.js", "random.js", "record.js", "transport.js"),
    *("rating.js", "choice.js", "finish.js", "screens.js", "flow.js"),
)
_POINTS = 480  # of a waveform
_LARGEST = 150_000_000  # characters of sounds; phones give up beyond
_TITLES: dict[TestKind, str] = {
    "mushra": "Rate how close sounds are to a recording",
    "abx": "Which of two sounds is repeated?",
    "ab": "Which of two sounds is better?",
}


def write_listening_test(
    test: ListeningTest, path: Path, *, title: str = "", consent: str = "", post: str = ""
) -> str:
    """Write a test as one HTML file; returns its id, a digest of all that listeners get.

    What is heard under which code is in the page, in base64, so that it does not catch the eye. It
    is no secret.

    Raises ConfigError for a URL that is none and for a test too large for a page, VocoderError if
    the page cannot be written.

    Args:
        test: What `design_test` made.
        path: Where the page is written.
        title: Its heading; the default tells the task.
        consent: What listeners agree to before they begin.
        post: URL that results are sent to. The page then may reach it, and nothing else.
    """
    origin = _origin(post) if post else ""
    kind = test.settings.kind
    sounds = {code: audio_data(s.audio, s.sample_rate) for code, s in test.sounds.items()}
    if (size := sum(map(len, sounds.values()))) > _LARGEST:
        raise ConfigError(
            f"{size / 1e6:.0f} MB of sounds, where pages hold {_LARGEST / 1e6:.0f}; choose fewer "
            "--trials or shorter --seconds"
        )
    facts = {
        "kind": kind,
        "title": title or _TITLES[kind],
        "consent": consent,
        "post": post,
        "page": __version__,
        "seed": test.settings.seed,
        "file": re.sub(r"[^\w.-]+", "-", path.stem),
        "format": KEY_VERSION,
        "trials": [_trial(test, each) for each in test.trials],
        "key": base64.b64encode(json.dumps(_key(test), ensure_ascii=False).encode()).decode(),
    }
    digest = hashlib.sha256(json.dumps([facts, sounds], sort_keys=True).encode()).hexdigest()[:16]
    write_page(
        path,
        _TEMPLATE,
        styles=_STYLES,
        scripts=_SCRIPTS,
        test=facts | {"id": digest},
        sounds=sounds,
        origin=origin,
        minutes=test.minutes,
        scored=sum(trial.role != "practice" for trial in test.trials),
        conditions=max(len(trial.sounds) for trial in test.trials),
    )
    return digest


def _trial(test: ListeningTest, trial: ListeningTrial) -> dict[str, Any]:
    """What the scripts know of a trial."""
    reference = test.references[trial.utterance]
    return {
        "code": trial.code,
        "role": trial.role,
        "seconds": round(trial.seconds, 3),
        "reference": reference,
        "waveform": envelope(test.sounds[reference].audio, _POINTS),
        "sounds": list(trial.sounds),
    }


def _key(test: ListeningTest) -> dict[str, Any]:
    """What codes stand for."""
    settings = test.settings
    return {
        "systems": list(test.systems),
        "loudness": round(test.level, 2),
        "notes": list(test.notes),
        "trials": {
            trial.code: {
                "role": trial.role,
                "utterance": trial.utterance,
                "seconds": round(trial.seconds, 3),
                "sounds": list(trial.sounds),
            }
            for trial in test.trials
        },
        "sounds": {
            code: {
                "utterance": sound.utterance,
                "condition": sound.condition,
                "gain": round(sound.gain, 2),
            }
            for code, sound in test.sounds.items()
        },
        "compared": settings.compared,
    }


def _origin(url: str) -> str:
    """Scheme and host of a URL, as the page's policy names them."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"--post {url!r}: {error}") from error
    if parts.scheme not in ("http", "https") or not re.fullmatch(r"[\w.-]+", host or "", re.ASCII):
        raise ConfigError(f"--post {url!r} is not a URL as https://lab.example.org/results")
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")
