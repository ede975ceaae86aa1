"""Examples below the help of a command."""


def examples(*lines: str) -> str:
    """The text with one example in each of `lines`, for the help of a command."""
    # The first character tells the help formatter to leave the line breaks alone.
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
