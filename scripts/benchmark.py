"""`nuspill benchmark`: speed beside peers, one file a benchmark."""

from __future__ import annotations

from .lazy import LazyGroup

command = LazyGroup(
    name="benchmark",
    help="Speed, side by side with its peers in one run.",
    modules={
        "asimov": ("benchmark_asimov", "An NSI plane of all detectors beside iminuit."),
        "cluster": ("benchmark_cluster", "What a cluster costs, and how large a useful one is."),
        "files": ("benchmark_files", "A large run as parts and as one file, made and read."),
        "formats": ("benchmark_formats", "Fast writers beside the bare packages."),
        "generate": ("benchmark_generate", "Events beside plain NumPy, the bare limit and uproot."),
        "importance": ("benchmark_importance", "Importance sampling beside brute force."),
        "toys": ("benchmark_toys", "Toys beside loops of iminuit, pyhf and ROOT."),
    },
)
