#!/usr/bin/env bash
# Recordings → manifest → training → vocoded held-out set → scores → table, in stages.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: recipes/demo/run.sh CORPUS [options] [HYDRA_OVERRIDE …]

CORPUS is a folder of recordings (wav, flac, ogg, mp3). If it or its parent holds a manifest.csv with
the columns path and split, that decides the splits; otherwise a hash of the file names does.

  1 prepare    audit the recordings, write the manifest
  2 train      system=demo, or the one given
  3 vocode     the held-out set, by the trained model, the embedded one and Griffin-Lim
  4 evaluate   every copy against the recordings
  5 table      all models side by side

  --stage N        first stage (default 1)
  --stop-stage N   last stage (default 5)
  --system NAME    what to train (default demo)
  --only COL=VAL   take only these rows of manifest.csv; may be repeated (speaker=kathleen,lj)
  --work DIR       where everything goes (default exp/demo)
  --model DIR      vocode with this model instead of the one that was trained

Examples:
  recipes/demo/run.sh egs/clips
  recipes/demo/run.sh CORPUS --system default --only set=speech trainer.max_steps=2000
TEXT
}

stage=1 stop_stage=5 system=demo work=exp/demo corpus="" model="" only=() overrides=()
while (($#)); do
    case "$1" in
        -h | --help) usage; exit 0 ;;
        --stage) stage=$2; shift ;;
        --stop-stage) stop_stage=$2; shift ;;
        --system) system=$2; shift ;;
        --work) work=$2; shift ;;
        --model) model=$2; shift ;;
        --only) only+=(--only "$2"); shift ;;
        --*) echo "error: unknown option $1; see $0 --help" >&2; exit 2 ;;
        *=*) overrides+=("$1") ;;
        *) corpus=$1 ;;
    esac
    shift
done
if [[ -z $corpus || ! -d $corpus ]]; then
    echo "error: CORPUS '$corpus' is not a folder; see $0 --help" >&2
    exit 2
fi

root=$(cd "$(dirname "$0")/../.." && pwd)
vocoder=$root/.venv/bin/vocoder
[[ -x $vocoder ]] || vocoder=vocoder
python=$(dirname "$(command -v "$vocoder")")/python
model=${model:-$work/train/best}
manifest=$work/manifest.csv
mkdir -p "$work"

runs() { ((stage <= $1 && $1 <= stop_stage)) && echo "── stage $1: $2"; }

if runs 1 "prepare $corpus"; then
    index=()
    for candidate in "$corpus/manifest.csv" "$(dirname "$corpus")/manifest.csv"; do
        if [[ -f $candidate ]]; then index=(--index "$candidate"); break; fi
    done
    "$vocoder" prepare "$corpus" -o "$manifest" "${index[@]}" "${only[@]}"
fi
if runs 2 "train $system"; then
    "$vocoder" train system="$system" data.manifest="$manifest" trainer.output="$work/train" \
        "${overrides[@]}"
fi
if runs 3 "vocode the held-out set"; then
    rm -rf "$work/held-out"
    "$python" "$root/recipes/demo/held_out.py" "$manifest" "$model" "$work/held-out"
    for name in trained default griffin-lim; do
        source=$name
        [[ $name == trained ]] && source=$model
        "$vocoder" resynth "$work/held-out/recordings" -o "$work/held-out/$name" --model "$source"
    done
fi
if runs 4 "evaluate"; then
    for name in trained default griffin-lim; do
        "$vocoder" evaluate "$work/held-out/recordings" "$work/held-out/$name" \
            -o "$work/scores/$name.json" > /dev/null
    done
fi
if runs 5 "table"; then
    "$python" "$root/recipes/demo/table.py" "$work"/scores/*.json | tee "$work/table.md"
fi
