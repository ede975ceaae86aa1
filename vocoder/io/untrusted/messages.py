"""Parts of messages."""


def first_line(error: Exception) -> str:
    """The beginning of an error's message, or its kind if it has none; without control codes."""
    line = next(iter(str(error).splitlines()), "")[:200] or type(error).__name__
    return line if line.isprintable() else ascii(line)
