"""What a model is, which path it takes here, and whether it works: `examine_model`."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vocoder.checkpoint import CONFIG_NAME, WEIGHTS_NAME, ModelConfig
from vocoder.doctor.examination import Examination, Finding, Severity
from vocoder.doctor.selftest import Outcome, extends, vocodes
from vocoder.errors import CheckpointError, ConfigError
from vocoder.features.mel import PRESETS, MelSpec
from vocoder.generators.base import BandwidthExtender, Generator
from vocoder.importers.common.weights import find_file, read
from vocoder.importers.importer import import_checkpoint
from vocoder.inference.description import describe_model, load_any
from vocoder.inference.extender import Extender
from vocoder.inference.runtimes.files import is_onnx
from vocoder.inference.vocoder import Vocoder
from vocoder.io.untrusted import read_json

_ROUNDS = 3
_MANY_ZEROS, _FLAT = 0.9, 1e-8  # share of zeros; deviation of the values of a weight
_SLOW = 1.0  # times real time


def examine_model(name: str | Path) -> Examination:
    """Say what a model is, how it runs on this machine and whether it works, by a short self-test.

    `name` is a built-in model, a model directory, an exported file, or a checkpoint of another
    project, which is converted in memory. Raises CheckpointError or ConfigError for what is none of
    these, or damaged.
    """
    name = str(name)
    if _is_foreign(name):
        return _of_checkpoint(Path(name))
    model = load_any(name)
    facts = describe_model(model, name)
    findings = (*_of_description(facts), *path_findings(model, facts), *_of_weights(model))
    return _concluded(name, model, (*findings, *_of_test(model)))


def _is_foreign(name: str) -> bool:
    """Whether a path is another project's checkpoint, and no model of ours."""
    if not os.path.exists(name) or is_onnx(name):
        return False
    path = Path(name)
    if path.is_file():
        return path.name not in (CONFIG_NAME, WEIGHTS_NAME)
    if not (path / CONFIG_NAME).is_file():
        return True
    values = read_json(path / CONFIG_NAME)
    return not (isinstance(values, dict) and {"format", "generator"} & values.keys())


def _of_checkpoint(path: Path) -> Examination:
    try:
        imported = import_checkpoint(path)
    except (CheckpointError, ConfigError) as error:
        read(find_file(path))  # raises for what is no checkpoint at all
        reason = str(error)
        finding = Finding("import", reason, "problem", f"vocoder import {path} -o DIR, once it can")
        verdict = "A checkpoint that cannot be imported as it is."
        return Examination(str(path), "model", verdict, (finding,))
    title = imported.config.training["imported"]["format"]
    facts = Finding("checkpoint", f"of {title}", "ok", f"vocoder import {path} -o MODEL_DIR")
    model = _model_of(imported.generator, imported.config)
    findings = (facts, *_of_mel(imported.config.mel), *_of_weights(model), *_of_test(model))
    return _concluded(str(path), model, findings)


def _model_of(generator: Generator, config: ModelConfig) -> Vocoder | Extender:
    if isinstance(generator, BandwidthExtender):
        return Extender(generator, config)
    return Vocoder(generator, config)


def _concluded(name: str, model: Vocoder | Extender, findings: tuple[Finding, ...]) -> Examination:
    kind = "vocoder" if isinstance(model, Vocoder) else "bandwidth extender"
    what = f"A {kind} at {model.sample_rate} Hz, {model.num_parameters / 1e6:.2f} M weights"
    problems = [finding for finding in findings if finding.severity == "problem"]
    if problems:
        listed = "; ".join(f"{finding.name}: {finding.value}" for finding in problems[:2])
        return Examination(name, "model", f"{what}. It has a problem: {listed}.", findings)
    faster = any(finding.name == "path" and finding.severity == "note" for finding in findings)
    hint = ", but could be faster here" if faster else ""
    return Examination(name, "model", f"{what}. It works{hint}.", findings)


def _of_description(facts: dict[str, Any]) -> Iterator[Finding]:
    if facts["path"]:
        yield Finding("place", f"{facts['path']}, {facts['bytes'] / 1e6:.1f} MB")
    if "mel" in facts:
        yield from _of_mel(MelSpec.from_dict(facts["mel"]))
    else:
        low, high = facts["cutoff_range_hz"]
        yield Finding("cutoffs", f"{low:.0f} to {high:.0f} Hz, of what it extends")
    streaming = facts["streaming"]
    if "refused" in streaming:
        yield Finding("streaming", f"not possible: {streaming['refused']}", "note")
    else:
        words = (
            f"{streaming['lookahead']} {streaming['steps']} ({streaming['lookahead_ms']} ms) of "
            f"look-ahead, {streaming['latency_ms']} ms latency"
        )
        yield Finding("streaming", words)
    yield from _of_training(facts)


def _of_mel(spec: MelSpec) -> Iterator[Finding]:
    names = [name for name, preset in PRESETS.items() if preset == spec]
    known = f"preset {', '.join(names)}" if names else "no preset"
    words = (
        f"{spec.n_mels} bands from {spec.f_min:g} to {spec.top_hz:g} Hz, {spec.log}, "
        f"hop {spec.hop_length}, {spec.sample_rate / spec.hop_length:.2f} frames a second ({known})"
    )
    yield Finding("mel", words)


def _of_training(facts: dict[str, Any]) -> Iterator[Finding]:
    training, licences = facts["training"], facts["licences"]
    if training:
        plain = {k: v for k, v in training.items() if not isinstance(v, dict | list)}
        imported = training.get("imported")
        parts = [f"{key} {value}" for key, value in plain.items()]
        parts += [f"imported from {imported['format']}"] if isinstance(imported, dict) else []
        yield Finding("training", ", ".join(parts) or "recorded in config.json")
    elif facts["parameters"]:
        yield Finding("training", "not recorded", "note", "write it into config.json: training")
    if licences:
        data = licences.get("data")
        names = ", ".join(data) if isinstance(data, dict) else str(data or "data not stated")
        words = f"weights {licences.get('weights', 'not stated')}; trained on {names}"
        yield Finding("licences", words)
    elif facts["parameters"]:
        yield Finding("licences", "not recorded", "note", "write them into config.json: licences")


def path_findings(model: Vocoder | Extender, facts: dict[str, Any]) -> Iterator[Finding]:
    """Which path a model takes here, and what would be faster; `facts` are those of `describe`."""
    faster = facts["runs"]["faster"]
    words = f"{facts['runs']['path']}, on {model.device}, {torch.get_num_threads()} threads"
    severity: Severity = "note" if faster else "ok"
    advice = f"{'; '.join(faster)} (vocoder bench infer measures what it gains)"
    yield Finding("path", words, severity, advice if faster else None)


def _of_weights(model: Vocoder | Extender) -> Iterator[Finding]:
    """Weights that training cannot have left so. NaN is refused when a model is loaded."""
    weights = {n: p for n, p in model.generator.state_dict().items() if p.is_floating_point()}
    large = {name: each for name, each in weights.items() if each.ndim > 1 and each.numel() > 64}
    zero = [n for n, value in large.items() if float((value == 0).float().mean()) > _MANY_ZEROS]
    same = [n for n, value in large.items() if n not in zero and float(value.std()) < _FLAT]
    huge = [n for n, value in large.items() if float(value.abs().max()) > 1e4]
    for names, what in ((zero, "are zero"), (same, "are all equal"), (huge, "exceed 10,000")):
        if names:
            words = f"{len(names)} of {len(large)} weights {what}, such as {names[0]}"
            yield Finding("weights", words, "problem", "train it, or find an earlier checkpoint")
    if large and not zero + same + huge:
        yield Finding("weights", f"finite, none empty, in {len(large)} arrays")


def _of_test(model: Vocoder | Extender) -> Iterator[Finding]:
    """The self-test, and how fast it ran."""
    try:
        outcome = vocodes(model) if isinstance(model, Vocoder) else extends(model)
    except ConfigError as error:
        yield Finding("self-test", f"not possible: {error}", "note")
        return
    yield _of_outcome(outcome, model)
    seconds = min(_timed(outcome) for _ in range(_ROUNDS))
    speed = outcome.seconds / seconds
    words = f"{speed:.3g} times real time, for {outcome.seconds:.1f} s of audio at once"
    if speed < _SLOW:
        advice = "too slow for live use here; vocoder bench infer compares ways to run it"
        yield Finding("speed", words, "note", advice)
    else:
        yield Finding("speed", words)


def _timed(outcome: Outcome) -> float:
    begin = time.perf_counter()
    made: Tensor = outcome.again()
    made[..., -1:].cpu()
    return time.perf_counter() - begin


def _of_outcome(outcome: Outcome, model: Vocoder | Extender) -> Finding:
    if outcome.bad:
        advice = (
            "untrained, damaged, or trained on quite different sounds: listen to "
            "vocoder resynth of a recording with it, and score that by vocoder evaluate"
        )
        return Finding("self-test", outcome.words, "problem", advice)
    return Finding("self-test", outcome.words)
