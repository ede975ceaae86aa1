"""From the graph of a generator to the nodes of a program."""
