"""Command line: one file a command, each thin."""
