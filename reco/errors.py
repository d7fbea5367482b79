"""Errors that a user can mend. Each says in one line what was given, where, and what is allowed."""


class ExperimentError(ValueError):
    """A setting that is wrong: names file, key, value and what is allowed."""


class OutputError(OSError):
    """A file that cannot be written, with the reason."""
