"""CPU kernels made at run time: vector code, built and compiled by LLVM through llvmlite."""
