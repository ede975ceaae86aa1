"""Loggers of a run, each through a package of its own: TensorBoard, MLflow, Weights & Biases."""
