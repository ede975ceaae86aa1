"""Pictures of audio and mels: waveforms, spectrograms, differences."""
