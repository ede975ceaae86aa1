"""What is wrong with a mel file, a recording, a model, a run, or a pair of mel and recording."""
