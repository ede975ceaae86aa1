#!/usr/bin/env bash
# Kathleen, one US English speaker, 48 kHz, CC0: see README.md beside this.
exec "$(dirname "$0")/../stages.sh" --recipe kathleen --system source_filter_22k "$@"
