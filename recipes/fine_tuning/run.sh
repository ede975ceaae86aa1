#!/usr/bin/env bash
# The embedded vocoder, fine-tuned to the voice of a folder of recordings: see README.md beside this.
exec "$(dirname "$0")/../demo/run.sh" --system source_filter_22k --work exp/fine_tuning \
    fine_tuning=generator_only trainer.init_from=default data.segment=8192 \
    trainer.max_steps=1000 trainer.validate_every=50 trainer.log_every=10 "$@"
