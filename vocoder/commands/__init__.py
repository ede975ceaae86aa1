"""The sub-commands of the command line; `vocoder.cli` lists them."""
