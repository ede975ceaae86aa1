#!/usr/bin/env bash
# Bandwidth extension of VCTK 0.92 with AP-BWE, 8 → 48 kHz: see README.md beside this.
exec "$(dirname "$0")/../stages.sh" --recipe vctk --task extend --system ap_bwe_8k_48k "$@"
