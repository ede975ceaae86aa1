"""Other runtimes for loaded models, onnxruntime and OpenVINO, and models in ONNX files."""
