#!/usr/bin/env bash
# EBEN, trained on simulated in-ear recordings, tested on a real one: see README.md beside this.
set -euo pipefail

if [[ ${1:-} == -* || ! -d ${1:-} ]]; then
    echo "usage: recipes/eben/run.sh CORPUS [HYDRA_OVERRIDE …]" >&2
    echo "CORPUS holds manifest.csv with the columns path, set, split, speaker and licence" >&2
    exit 2
fi
corpus=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
work=exp/eben

# Small enough for two CPU cores; in that time most of the training is the balanced spectral loss.
small=(objective=eben_vibravox data.batch_size=8 data.segment=16384 trainer.threads=2
    discriminators.bands.channels=3 discriminators.waveform.channels=4
    trainer.max_steps=1200 trainer.adversarial_start=1000 trainer.adversarial_ramp=100
    trainer.validate_every=200 trainer.save_every=100)
"$here/../demo/run.sh" "$corpus/speech" --work "$work" --stop-stage 3 --system eben \
    --only speaker=kathleen --only speaker=p239 "${small[@]}" "$@"

bin=$here/../../.venv/bin/
[[ -x ${bin}vocoder ]] || bin=""
pair=$corpus/paired/body_conduction
made=$work/in-ear
rm -rf "$made"
"${bin}python" "$here/pair.py" "$pair/inear_silence.flac" "$pair/ref_silence.flac" \
    "$work/train/best" "$made"
"${bin}vocoder" evaluate "$made/recordings" "$made/body" "$made/trained" --cutoff 2000 \
    -o "$work/scores"
