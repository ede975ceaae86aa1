"""`vocoder bench train`: the training step beside the straightforward algorithm of public code."""
