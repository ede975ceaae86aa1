"""What an audit looks into: the index of a corpus, the recordings, and the files they pair with."""
