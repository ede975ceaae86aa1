#!/usr/bin/env bash
# The stages of every recipe. recipes/NAME/run.sh calls this with its own corpus, task and system.
set -euo pipefail

task_stages() {
    if [[ $task == extend ]]; then
        cat <<TEXT
  4 extend     the held-out set, low-passed at 4, 8 and 12 kHz (those in the model's range), by the
               trained model, the embedded one, spectral band replication and plain resampling
  5 evaluate   score them against the recordings, a table for each cutoff
TEXT
    else
        cat <<TEXT
  4 vocode     the held-out set, by the trained model, Griffin-Lim and, for models at 22.05 kHz,
               the embedded one
  5 evaluate   score them against the recordings, show the table
TEXT
    fi
}

usage() {
    cat <<TEXT
Usage: recipes/$name/run.sh [CORPUS] [options] [HYDRA_OVERRIDE …]

CORPUS is $corpus_help

  1 download   fetch, check and unpack the corpus; continues an interrupted download
  2 prepare    audit the recordings, write the manifest
  3 train      a system; continues a run that was stopped
$(task_stages)

  --stage N        first stage (default 1)
  --stop-stage N   last stage (default 5)
  --system NAME    what to train, also as system=NAME (default $system)
  --corpus DIR     the same as CORPUS
  --download DIR   where to download to (default corpora)
  --layout NAME    CORPUS is laid out as ljspeech, libritts, vctk or kathleen (default ${layout:-none})
  --subset NAME    a part of LibriTTS; repeat for more (default train-clean-100 dev-clean test-clean)
  --only COL=VAL   use only these rows of the index; repeat for more values
  --work DIR       where everything goes (default $work)
  --model DIR      the trained model to vocode with (default WORK/train/best)

Examples:
  recipes/$name/run.sh${example}
  recipes/$name/run.sh${example} system=hifigan_v2 trainer.device=cuda trainer.max_steps=100000
  recipes/$name/run.sh${example} --stage 4
TEXT
}

fail() {
    echo "error: $1; see recipes/$name/run.sh --help" >&2
    exit 2
}

stage=1 stop_stage=5 task=vocode name=demo system=demo work=exp/demo layout="" corpus="" model="" device=cpu
download=corpora only=() subsets=() overrides=()
corpus_help="a folder of recordings (wav, flac, ogg, mp3). If it or its parent holds a manifest.csv
with the columns path and split, that determines the held-out set, otherwise a hash of file names."
example=" egs/clips"
while (($#)); do
    case "$1" in
        -h | --help) usage; exit 0 ;;
        --stage | --stop-stage | --system | --corpus | --download | --layout | --subset | --only | \
            --work | --model | --recipe | --task)
            if (($# < 2)); then fail "$1 needs a value"; fi ;;&
        --task) task=$2 name=${name}_bwe work=${work}_bwe; shift ;;  # also from recipes/NAME/run.sh
        --recipe)  # from recipes/NAME/run.sh, before everything else
            name=$2 layout=$2 work=exp/$2 example=""
            corpus_help="the unpacked corpus, or the folder it lies in; without it, it is downloaded."
            shift ;;
        --stage | --stop-stage)
            if [[ ! $2 =~ ^[1-5]$ ]]; then fail "$1 is 1 to 5, not '$2'"; fi ;;&
        --stage) stage=$2; shift ;;
        --stop-stage) stop_stage=$2; shift ;;
        --system) system=$2; shift ;;
        --corpus) corpus=$2; shift ;;
        --download) download=$2; shift ;;
        --layout) layout=$2; shift ;;
        --subset) subsets+=(--subset "$2"); shift ;;
        --only) only+=(--only "$2"); shift ;;
        --work) work=$2; shift ;;
        --model) model=$2; shift ;;
        -*) fail "unknown option $1" ;;
        system=*) system=${1#*=} ;;
        trainer.device=*) device=${1#*=} overrides+=("$1") ;;
        *=*) overrides+=("$1") ;;
        *) corpus=$1 ;;
    esac
    shift
done
given=$corpus
if [[ -z $corpus && -n $layout ]]; then
    corpus=$download
elif [[ ! -d $corpus ]]; then
    fail "CORPUS '$corpus' is not a folder"
fi

recipes=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$recipes/../.venv/bin/
[[ -x ${bin}vocoder ]] || bin=""
trained=${model:-$work/train/best}
manifest=$work/manifest.csv
held_out=$work/held-out
mkdir -p "$work"

stage() {
    ((stage <= $1 && $1 <= stop_stage)) || return 1
    echo "── stage $1: $2"
}

resynth() {
    "${bin}vocoder" resynth "$held_out/recordings" -o "$held_out/$1" --device "$device" "${@:2}"
}

if [[ -z $given ]] && stage 1 "download to $corpus"; then
    "${bin}python" "$recipes/download.py" "$layout" "$corpus" "${subsets[@]}"
fi

if stage 2 "prepare $corpus"; then
    index=()
    if [[ -n $layout ]]; then
        index=(--index "$work/index.csv")
        "${bin}python" "$recipes/corpora.py" "$layout" "$corpus" -o "$work/index.csv" "${subsets[@]}"
    else
        for candidate in "$corpus/manifest.csv" "$(dirname "$corpus")/manifest.csv"; do
            if [[ -f $candidate ]]; then index=(--index "$candidate"); break; fi
        done
    fi
    "${bin}vocoder" prepare "$corpus" -o "$manifest" "${index[@]}" "${only[@]}"
fi

if stage 3 "train $system"; then
    "${bin}vocoder" train system="$system" data.manifest="$manifest" trainer.output="$work/train" \
        "${overrides[@]}"
fi

if [[ $task == extend ]] && stage 4 "extend the held-out set"; then
    rm -rf "$held_out"
    "${bin}python" "$recipes/extension.py" "$manifest" "$trained" "$held_out" --device "$device"
elif [[ $task == vocode ]] && stage 4 "vocode the held-out set"; then
    rm -rf "$held_out"
    rate=$("${bin}python" "$recipes/held_out.py" "$manifest" "$trained" "$held_out/recordings")
    resynth trained --model "$trained"
    resynth griffin-lim --model griffin-lim --preset "$trained/config.json"
    # Scores at another sample rate than the embedded model's are not comparable with its own.
    if ((rate == 22050)); then resynth default; fi
fi

# evaluate FOLDER SCORES [OPTION …]: score what is in FOLDER against the recordings there
evaluate() {
    estimates=()
    for name in trained default griffin-lim extender replication resampling; do
        if [[ -d $1/$name ]]; then estimates+=("$1/$name"); fi
    done
    "${bin}vocoder" evaluate "$1/recordings" "${estimates[@]}" -o "$2" "${@:3}"
}

if stage 5 "evaluate"; then
    if [[ $task == extend ]]; then
        for cutoff in $(ls "$held_out" | sort -n); do
            echo "content up to $cutoff Hz"
            evaluate "$held_out/$cutoff" "$work/scores/$cutoff" --cutoff "$cutoff"
        done
    else
        evaluate "$held_out" "$work/scores"
    fi
fi
