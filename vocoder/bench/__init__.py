"""What things cost, measured beside each other on the machine at hand."""
