#!/usr/bin/env bash
# VCTK 0.92, 108 English speakers, 48 kHz: see README.md beside this.
exec "$(dirname "$0")/../stages.sh" --recipe vctk --system hifigan_48k "$@"
