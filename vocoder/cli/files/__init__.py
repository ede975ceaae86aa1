"""Files that a command reads and makes: which ones, and several at a time."""
