"""How operations run on signals that arrive in pieces, and which rule an operation follows."""
