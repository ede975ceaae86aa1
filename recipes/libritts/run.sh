#!/usr/bin/env bash
# LibriTTS, up to 2,456 English speakers, 24 kHz: see README.md beside this.
exec "$(dirname "$0")/../stages.sh" --recipe libritts --system vocos_24k "$@"
