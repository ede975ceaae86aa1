"""Export of generators to ONNX: a traced network, operation by operation, with a parity check."""
