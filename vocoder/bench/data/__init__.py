"""How fast training crops are read: by workers, and by format and length of the recordings."""
