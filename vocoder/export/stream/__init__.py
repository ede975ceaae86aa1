"""A network's streaming step, in which every chunk and every state has a fixed size, as ONNX."""
