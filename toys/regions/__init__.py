"""Regions of data from a Neyman construction: limits, areas, exact where outcomes can be listed."""
