#!/usr/bin/env bash
# The embedded bandwidth extender, from recordings to vocoder/assets/band_filler_48k: see README.md.
set -euo pipefail

if [[ ${1:-} == -* || ! -d ${1:-} ]]; then
    echo "usage: recipes/band_filler_48k/run.sh CORPUS [HYDRA_OVERRIDE …]" >&2
    echo "CORPUS holds manifest.csv with the columns path, set, split, speaker and licence" >&2
    exit 2
fi
corpus=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
demo=$here/../demo_bwe/run.sh
work=exp/band_filler_48k

common=(--work "$work" --model "$work/train/last")
full_band=(--only speaker=kathleen --only speaker=p239)
# First with further voices, whose content ends at 11 and 12 kHz; then the full-band ones alone.
"$demo" "$corpus/speech" --system band_filler_48k "${common[@]}" "${full_band[@]}" \
    --only speaker=nathalie --only speaker=flemishguy --stop-stage 3 trainer.max_steps=1650 "$@"
"$demo" "$corpus/speech" --system band_filler_48k "${common[@]}" "${full_band[@]}" --stage 2 \
    --stop-stage 3 "$@"

bin=$here/../../.venv/bin/
[[ -x ${bin}python ]] || bin=""
# Embedded first, so that the scores are those of the half-precision weights; then with the scores.
"${bin}python" "$here/../embed.py" band_filler_48k "$work/train/last"

"$demo" "$corpus/speech" "${common[@]}" --stage 4
unseen=(--work exp/band_filler_48k-unseen --model "$work/train/last")
"$demo" "$corpus/unseen" "${unseen[@]}" --only set=unseen --stop-stage 2
"$demo" "$corpus/unseen" "${unseen[@]}" --stage 4
scores=()
for cutoff in 4000 8000 12000; do
    scores+=(--scores "test_$cutoff=$work/scores/$cutoff/scores.json:extender")
    other=exp/band_filler_48k-unseen/scores/$cutoff/scores.json
    if [[ -f $other ]]; then scores+=(--scores "unseen_$cutoff=$other:extender"); fi
done
"${bin}python" "$here/../embed.py" band_filler_48k "$work/train/last" "${scores[@]}"
