"""Speed beside peers and the bare limit."""
