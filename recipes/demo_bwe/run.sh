#!/usr/bin/env bash
# Bandwidth extension of any folder of full-band recordings: see README.md beside this.
exec "$(dirname "$0")/../stages.sh" --task extend --system band_filler_48k "$@"
