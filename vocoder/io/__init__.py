"""Audio files, mel files, atomic writes, bandwidth of recordings, and array conversion."""
