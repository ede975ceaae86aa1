"""Self-contained HTML pages: templates, styles, players, and the audio and pictures in them."""
