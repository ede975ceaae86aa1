"""Signal processing as pure functions from tensor to tensor."""
