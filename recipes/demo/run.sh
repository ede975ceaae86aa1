#!/usr/bin/env bash
# Recordings → manifest → training → vocoded held-out set → scores, in stages.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: recipes/demo/run.sh CORPUS [options] [HYDRA_OVERRIDE …]

CORPUS is a folder of recordings (wav, flac, ogg, mp3). If it or its parent holds a manifest.csv
with the columns path and split, that decides what is held out, otherwise a hash of file names does.

  1 prepare    audit the recordings, write the manifest
  2 train      system=demo, or the one given; a run that was stopped goes on
  3 vocode     the held-out set, by the trained model, the embedded one and Griffin-Lim
  4 evaluate   score all three against the recordings, show the table

  --stage N        first stage (default 1)
  --stop-stage N   last stage (default 4)
  --system NAME    what to train (default demo)
  --only COL=VAL   use only these rows of manifest.csv; repeat for more values
  --work DIR       where everything goes (default exp/demo)
  --model DIR      the trained model to vocode with (default WORK/train/best)

Examples:
  recipes/demo/run.sh egs/clips
  recipes/demo/run.sh CORPUS --system default --only set=speech trainer.max_steps=2000
  recipes/demo/run.sh CORPUS --stage 3
TEXT
}

stage=1 stop_stage=4 system=demo work=exp/demo model="" corpus="" only=() overrides=()
while (($#)); do
    case "$1" in
        -h | --help) usage; exit 0 ;;
        --stage | --stop-stage | --system | --work | --model | --only)
            if (($# < 2)); then echo "error: $1 needs a value; see $0 --help" >&2; exit 2; fi ;;&
        --stage) stage=$2; shift ;;
        --stop-stage) stop_stage=$2; shift ;;
        --system) system=$2; shift ;;
        --work) work=$2; shift ;;
        --model) model=$2; shift ;;
        --only) only+=(--only "$2"); shift ;;
        -*) echo "error: unknown option $1; see $0 --help" >&2; exit 2 ;;
        *=*) overrides+=("$1") ;;
        *) corpus=$1 ;;
    esac
    shift
done
if [[ ! -d $corpus ]]; then
    echo "error: CORPUS '$corpus' is not a folder; see $0 --help" >&2
    exit 2
fi

recipe=$(cd "$(dirname "$0")" && pwd)
bin=$recipe/../../.venv/bin/
[[ -x ${bin}vocoder ]] || bin=""
trained=${model:-$work/train/best}
manifest=$work/manifest.csv
held_out=$work/held-out
mkdir -p "$work"

stage() {
    ((stage <= $1 && $1 <= stop_stage)) || return 1
    echo "── stage $1: $2"
}

if stage 1 "prepare $corpus"; then
    index=()
    for candidate in "$corpus/manifest.csv" "$(dirname "$corpus")/manifest.csv"; do
        if [[ -f $candidate ]]; then index=(--index "$candidate"); break; fi
    done
    "${bin}vocoder" prepare "$corpus" -o "$manifest" "${index[@]}" "${only[@]}"
fi

if stage 2 "train $system"; then
    "${bin}vocoder" train system="$system" data.manifest="$manifest" trainer.output="$work/train" \
        "${overrides[@]}"
fi

if stage 3 "vocode the held-out set"; then
    rm -rf "$held_out"
    "${bin}python" "$recipe/held_out.py" "$manifest" "$held_out/recordings"
    for name in trained default griffin-lim; do
        source=$name
        if [[ $name == trained ]]; then source=$trained; fi
        "${bin}vocoder" resynth "$held_out/recordings" -o "$held_out/$name" --model "$source"
    done
fi

if stage 4 "evaluate"; then
    "${bin}vocoder" evaluate "$held_out/recordings" "$held_out"/{trained,default,griffin-lim} \
        -o "$work/scores"
fi
