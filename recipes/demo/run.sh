#!/usr/bin/env bash
# Any folder of recordings: see README.md beside this.
exec "$(dirname "$0")/../stages.sh" "$@"
