"""`python -m vocoder`: the same as the command `vocoder`, for torchrun."""

from vocoder.cli.app import main

if __name__ == "__main__":
    main()
