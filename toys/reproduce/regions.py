"""Allowed regions of non-standard interactions with up quarks: figures 12 and 14.

Where only the total count is known the region lies along the ellipse of (4.8),
[R + ε_ee]² + 2 [R + ε_μμ]² = 3 R² with R = (Z g_Vp + N g_Vn)/(2Z + N): between two ellipses scaled
by the limits s of the signal strength, whose area is π (3/√2) R² (s₊ − s₋).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...generator.arrays import Array
from ...generator.coupling import vector_couplings
from ...reco.experiment import Experiment
from ..counts.combination import build
from ..counts.model import Model
from ..plot import draw_regions
from ..scan.outline import threshold
from ..scan.profile import Profile
from ..scan.scan import Axis, Scan2D, scan_1d, scan_2d
from .explain import common_pull
from .paper import BOTH, DETECTORS, experiment, periods
from .result import Result, Table

PLANE = ("nsi.u.ee", "nsi.u.mumu")
CL = 0.9
PANELS = ("Ar", "C3F8", "Si"), ("Xe", "CsI", "Ge")


def figure_12() -> Result:
    """Regions of the six detectors over three years."""
    rows, scans, failures = [], [], []
    for name, label in DETECTORS.items():
        chosen = experiment(name)
        model = build([chosen], PLANE)
        scan = _scan(model)
        profile = Profile(model, PLANE)
        along = profile(*_ellipse(chosen))
        counts_only = model.section(name).binning.bins == 1
        between, failed = _area_of_strength(chosen) if counts_only else (None, 0)
        failures.append(scan.failed + profile.failed + failed)
        rows.append(
            (label, ellipse_radius(chosen), scan.area, between,
             None if between is None else scan.area / between,
             float(along.max()), float(np.mean(along < scan.threshold)))
        )  # fmt: skip
        scans.append((label, scan))
    table = Table(
        "Figure 12: regions of (ε_ee, ε_μμ) with up quarks, 90 % CL, 3 years",
        (
            "detector", "R", "area", "area by (4.8)", "ratio", "largest Δχ² on (4.8)",
            "part of (4.8) allowed",
        ),
        tuple(rows),
        "The paper prints none of the areas. Counting detectors (one bin) follow the ellipse (4.8) "
        "all round; a large Δχ² on it says where the spectrum breaks the degeneracy.",
    )  # fmt: skip

    def draw(axes: Any) -> None:
        for panel, names in zip(axes, PANELS, strict=True):
            draw_regions(panel, [scan for scan in scans if scan[0] in names])
            ellipse = _ellipse(experiment(next(n for n, x in DETECTORS.items() if x == names[0])))
            panel.plot(*ellipse, ":", color="black", lw=1.5)
            panel.set_title(f"dotted: (4.8) for {names[0]}", fontsize=12)
            panel.set_xlim(-0.3, 0.7)
            panel.set_ylim(-0.15, 0.55)

    return Result(
        "fig12", "Regions of six detectors", (table,), draw, panels=2, failed=sum(failures)
    )


def figure_14() -> Result:
    """Regions of the gas chamber with xenon, with argon, and with each half of the time."""
    fills: list[tuple[str, list[Experiment]]] = [
        ("Xe, 3 years", [experiment("ess-xe")]),
        ("Ar, 3 years", [experiment("ess-xe-ar")]),
        ("Xe + Ar, 1.5 years each", periods(BOTH)),
        ("the same, common signal pull", common_pull()),
    ]
    scans = [(label, _scan(build(fill, PLANE))) for label, fill in fills]
    least = min(scan.area for _, scan in scans[:2])
    table = Table(
        "Figure 14: the gas chamber, regions of (ε_ee, ε_μμ) with up quarks, 90 % CL",
        ("fill", "area", "over the better fill alone", "pieces"),
        tuple(
            (
                label,
                scan.area,
                scan.area / least,
                len(scan.region.pieces),
            )
            for label, scan in scans
        ),
        "The paper prints none of the areas; it says that the combination is substantially better. "
        "It does not say whether the two fills share their signal pull: Table 3 is nearer to one "
        "for each, which the preset `paper` has.",
    )

    def draw(axes: Any) -> None:
        draw_regions(axes, scans[:3])

    failed = sum(scan.failed for _, scan in scans)
    return Result("fig14", "Regions of the gas chamber", (table,), draw, failed=failed)


def _scan(model: Model) -> Scan2D:
    return scan_2d(model, (Axis(PLANE[0]), Axis(PLANE[1])), CL)


def ellipse_radius(chosen: Experiment) -> float:
    """R of (4.8), averaged over the nuclei with their shares of the weak charge squared."""
    g = vector_couplings(chosen.interaction, "numu")[0]
    shares = np.array([n.per_kg * (n.z * g.proton + n.n * g.neutron) ** 2
                       for n in chosen.target.nuclei])  # fmt: skip
    values = [(n.z * g.proton + n.n * g.neutron) / (2 * n.z + n.n) for n in chosen.target.nuclei]
    return float(np.average(values, weights=shares))


def _ellipse(chosen: Experiment, points: int = 361) -> tuple[Array, Array]:
    """Points of (4.8), shape (points,) for each coupling."""
    r = ellipse_radius(chosen)
    angle = np.linspace(0, 2 * np.pi, points)
    return -r + np.sqrt(3) * r * np.cos(angle), -r + np.sqrt(1.5) * r * np.sin(angle)


def _area_of_strength(chosen: Experiment) -> tuple[float, int]:
    """Area between the ellipses of (4.8) at the limits of the strength, and failed fits."""
    from scipy.stats import chi2

    cl = float(chi2.cdf(threshold(CL, 2), 1))
    scan = scan_1d(build([chosen], ["strength"]), Axis("strength"), cl)
    low, high = scan.intervals[0][0], scan.intervals[-1][1]
    area = np.pi * 3 / np.sqrt(2) * ellipse_radius(chosen) ** 2 * (high - low)
    return float(area), scan.failed
