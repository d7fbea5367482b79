"""Formats of detectors' data acquisitions and reconstructions, one file each.

A format is a module of this folder, found by listing it; what several share is in `shared`. It
says what it is, and has `read`, `write` or both:

    NAME         what it is called on the command line
    DESCRIPTION  one line
    EXTRA        the extra of pip that brings the packages it needs, or ""
    REQUIRES     names of these packages
    NEEDS        columns of the ntuple that are written
    KEEPS, LOSES what comes back from a file, and what does not
    PLACES       "file", or "either": written as a folder, read also from a file
    DEFAULT      experiment of a file that does not tell, or None
    recognise(path) -> bool                     whether a file looks like one, by its beginning
    write(sample: Sample, path: Path) -> int    events written
    read(source: Source) -> Iterator[Block]     blocks of columns, completed by the importer
    embedded(path) -> About | None              what nuspill wrote of the sample (optional)
    GRID         widths of bins, from 0 (of time from the start of the window), to whose centres
                 columns come back (optional)

Modules import heavy packages inside their functions.
"""
