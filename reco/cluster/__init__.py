"""Blocks of work on the workers of a cluster."""
