"""GPU kernels in Triton; import them only where triton is installed."""
