#!/usr/bin/env bash
# The embedded default model, from recordings to vocoder/assets/source_filter_22k: see README.md.
set -euo pipefail

if [[ ${1:-} == -* || ! -d ${1:-} ]]; then
    echo "usage: recipes/source_filter_22k/run.sh CORPUS [HYDRA_OVERRIDE …]" >&2
    echo "CORPUS holds manifest.csv with the columns path, set, split, speaker and licence" >&2
    exit 2
fi
corpus=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
demo=$here/../demo/run.sh
work=exp/source_filter_22k
voices=()
for speaker in kathleen nathalie flemishguy gd lj; do voices+=(--only "speaker=$speaker"); done

common=(--work "$work" --model "$work/train/last")
"$demo" "$corpus/speech" --system source_filter_22k "${common[@]}" "${voices[@]}" --stop-stage 3 \
    "$@"

bin=$here/../../.venv/bin/
[[ -x ${bin}python ]] || bin=""
# Embedded first, so that the scores are those of the half-precision weights; then with the scores.
"${bin}python" "$here/../embed.py" source_filter_22k "$work/train/last"

"$demo" "$corpus/speech" "${common[@]}" --stage 4
unseen=(--work exp/unseen --model "$work/train/last")
"$demo" "$corpus/unseen" "${unseen[@]}" --only set=unseen --stop-stage 2
"$demo" "$corpus/unseen" "${unseen[@]}" --stage 4
"${bin}python" "$here/../embed.py" source_filter_22k "$work/train/last" \
    --scores test="$work/scores/scores.json:default" --scores unseen=exp/unseen/scores/scores.json:default
