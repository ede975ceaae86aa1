"""Networks that judge one signal, one file per view of it."""
