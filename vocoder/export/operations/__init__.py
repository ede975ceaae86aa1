"""Operations of torch as nodes of an ONNX graph, each by a converter under its name."""
