"""Compiled code of the statistics: χ², its minimum, toys and their weights."""
