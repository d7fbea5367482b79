"""`nuspill benchmark`: speed beside peers, one file a benchmark."""

from __future__ import annotations

from ..lazy import LazyGroup

command = LazyGroup(
    name="benchmark",
    help="Speed, side by side with its peers in one run.",
    modules={
        "asimov": ("benchmarks.asimov", "An NSI plane of all detectors beside iminuit."),
        "cluster": ("benchmarks.cluster", "What a cluster costs, and how large a useful one is."),
        "files": ("benchmarks.files", "A large run as parts and as one file, made and read."),
        "fits": ("benchmarks.fits", "Fits of 60 models tried again by independent searches."),
        "formats": ("benchmarks.formats", "Fast writers beside the bare packages."),
        "generate": (
            "benchmarks.generate",
            "Events beside plain NumPy, the bare limit and uproot.",
        ),
        "importance": ("benchmarks.importance", "Importance sampling beside brute force."),
        "measured": ("benchmarks.measured", "Toys of CsI 2021 in 99 bins beside iminuit."),
        "toys": ("benchmarks.toys", "Toys beside loops of iminuit, pyhf and ROOT."),
    },
)
