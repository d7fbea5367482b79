"""Toys on disk and on clusters."""
