"""The compiled chain from an experiment to the columns of its events."""
