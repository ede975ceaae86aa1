#!/usr/bin/env bash
# LJSpeech 1.1, one English speaker, 22.05 kHz: see README.md beside this.
exec "$(dirname "$0")/../stages.sh" --recipe ljspeech --system hifigan_v1 "$@"
