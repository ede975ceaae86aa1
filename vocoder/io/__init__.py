"""Audio files and what they hold, mel files, atomic writes, and arrays of either kind."""
