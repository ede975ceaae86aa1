"""Audio files, mel files, atomic writes, and arrays of either kind."""
