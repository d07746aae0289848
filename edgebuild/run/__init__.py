"""A run: what it needs, in which order, and what it comes to."""
