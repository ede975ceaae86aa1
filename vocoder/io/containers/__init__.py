"""Headers of audio files: how much audio they announce, and formats that are not read here."""
