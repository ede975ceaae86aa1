"""Speed of inference against public code's way: alternating runs, work, memory, tables."""
