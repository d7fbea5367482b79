"""Runs of events, and the files and folders that hold them."""
