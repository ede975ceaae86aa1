#!/usr/bin/env bash
# Ablation of discriminators and adversarial losses, with one small generator: see README.md.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: recipes/ablation/run.sh CORPUS [--work DIR] [--jobs N] [--only COL=VAL]… [HYDRA_OVERRIDE …]

CORPUS is as for recipes/demo/run.sh. Every finished part is kept: repeat the command to continue.

  1  prepare the manifest
  2  train the initial model: spectral losses alone, once for all combinations
  3  train every combination from there, N at a time (default 2)
  4  vocode and score the held-out set, write the table and the figure

  --work DIR      where everything goes (default exp/ablation)
  --start-steps N steps of the initial model (default 1500); trainer.max_steps=… is for a combination
TEXT
}

# name:overrides. The adversarial loss is least squares with feature matching where none is given.
combinations=(
    "spectral:discriminators=none objective=mel_stft trainer.discriminator_warmup=0"
    "mpd:discriminators=small_mpd"
    "msd:discriminators=small_msd"
    "mrd:discriminators=small_mrd"
    "mpd_msd:discriminators=small_mpd_msd"
    "mpd_mrd:discriminators=small_mpd_mrd"
    "mpd_cqtd:discriminators=small_mpd_cqtd"
    "mpd_band_hinge:discriminators=small_mpd_band objective.adversarial._target_=vocoder.losses.adversarial.Hinge"
    "mpd_mrd_san:discriminators=small_mpd_mrd_sliced objective.adversarial._target_=vocoder.losses.adversarial.Slicing"
)

corpus="" work=exp/ablation jobs=2 start_steps=1500 only=() overrides=()
while (($#)); do
    case "$1" in
        -h | --help) usage; exit 0 ;;
        --work | --jobs | --only | --start-steps)
            if (($# < 2)); then echo "error: $1 needs a value; see $0 --help" >&2; exit 2; fi ;;&
        --work) work=$2; shift ;;
        --jobs) jobs=$2; shift ;;
        --start-steps) start_steps=$2; shift ;;
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

here=$(cd "$(dirname "$0")" && pwd)
bin=$here/../../.venv/bin/
[[ -x ${bin}vocoder ]] || bin=""
manifest=$work/manifest.csv start=$work/start/last held_out=$work/held-out
mkdir -p "$work"

if [[ ! -f $manifest ]]; then
    "$here/../stages.sh" "$corpus" --work "$work" --stop-stage 2 "${only[@]}"
fi

"${bin}vocoder" train system=vocos_small_22k discriminators=none objective=mel_stft \
    trainer.discriminator_warmup=0 trainer.max_steps="$start_steps" trainer.output="$work/start" \
    data.manifest="$manifest" optim.generator.optimizer.lr=1e-3

train() {
    local name=${1%%:*}
    read -ra own <<<"${1#*:}"
    echo "── $name"
    "${bin}vocoder" train system=vocos_small_22k "${own[@]}" trainer.init_from="$start" \
        trainer.output="$work/$name" data.manifest="$manifest" "${overrides[@]}"
}
running=0
for combination in "${combinations[@]}"; do
    train "$combination" &
    if ((++running >= jobs)); then
        wait -n
        ((running--))
    fi
done
wait

if [[ ! -d $held_out/recordings ]]; then
    "${bin}python" "$here/../held_out.py" "$manifest" "$start" "$held_out/recordings" >/dev/null
fi
names=(start)
for combination in "${combinations[@]}"; do names+=("${combination%%:*}"); done
for name in "${names[@]}"; do
    rm -rf "${held_out:?}/$name"
    "${bin}vocoder" resynth "$held_out/recordings" -o "$held_out/$name" --model "$work/$name/last" \
        >/dev/null
done
"${bin}vocoder" evaluate "$held_out/recordings" "${names[@]/#/$held_out/}" -o "$work/scores" --markdown \
    | tee "$work/table.md"
"${bin}python" "$here/figure.py" "$work/scores" "${names[@]}" -o "$work/ablation.png"
