"""Plots of scans: Δχ² along a parameter, allowed regions in a plane."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..reco.comparison.style import STYLE
from ..reco.files import replacing
from .counts.model import Model
from .coverage import REGIONS, Coverage
from .regions.area import Area
from .regions.region import Region
from .scan.scan import Scan1D, Scan2D

COLOURS = ("#3f90da", "#bd1f01", "#2a9d5c", "#e76300", "#832db6", "#717581")


def label(model: Model, name: str) -> str:
    """Label of an axis."""
    return model.parameters[model.number(name)].label


def plot_1d(scans: Sequence[tuple[str, Scan1D]], output: str | Path) -> None:
    """Δχ² of scans of one parameter, with their titles, to a PDF, PNG or SVG file."""
    with figure(output) as axes:
        for (title, scan), colour in zip(scans, _colours(len(scans)), strict=True):
            axes.plot(scan.x, scan.delta_chi2, color=colour, label=title)
        first = scans[0][1]
        axes.axhline(first.threshold, color="0.4", ls="--", lw=1)
        axes.set_xlabel(label(first.model, first.name))
        axes.set_ylabel(r"$\Delta\chi^2$")
        axes.set_ylim(0, 4 * first.threshold)
        axes.set_xlim(first.x[0], first.x[-1])
        axes.legend(title=f"{100 * first.cl:g} % CL at {first.threshold:.2f}")


def plot_2d(scans: Sequence[tuple[str, Scan2D]], output: str | Path) -> None:
    """Allowed regions of scans of the same plane, with their titles, to a file as `plot_1d`."""
    with figure(output) as axes:
        draw_regions(axes, scans)


def draw_regions(axes: Any, scans: Sequence[tuple[str, Scan2D]]) -> None:
    """Draw allowed regions on axes of Matplotlib."""
    from matplotlib.patches import Patch
    from matplotlib.path import Path as Outline

    handles = []
    for (title, scan), colour in zip(scans, _colours(len(scans)), strict=True):
        for piece in scan.region.pieces:
            whole = Outline.make_compound_path(*(Outline(line, closed=True) for line in piece))
            axes.add_patch(_outline(whole, colour))
        handles.append(Patch(facecolor=colour, alpha=0.5, label=f"{title}, area {scan.area:.3g}"))
        axes.plot(*scan.best, "+", color=colour, ms=8)
    first = scans[0][1]
    axes.set_xlim(min(s.x[0] for _, s in scans), max(s.x[-1] for _, s in scans))
    axes.set_ylim(min(s.y[0] for _, s in scans), max(s.y[-1] for _, s in scans))
    axes.set_xlabel(label(first.model, first.names[0]))
    axes.set_ylabel(label(first.model, first.names[1]))
    axes.legend(handles=handles, title=f"{100 * first.cl:g} % CL", loc="best")


def plot_region(region: Region, output: str | Path) -> None:
    """A region by toys beside that of Wilks, and the critical values, to a file as `plot_1d`."""
    construction = region.construction
    level = f"{100 * region.cl:g} % CL"
    with figure(output) as axes:
        name = construction.names[0]
        axes.set_xlabel(label(construction.model, name))
        x = construction.axes[0][1]
        if len(construction.axes) == 1:
            observed = construction.observed
            square = region.ordering == "likelihood-ratio"
            axes.plot(x, observed**2 if square else observed, color=COLOURS[0], label="data")
            for limit in (region.belt.low, region.belt.high):
                axes.plot(x, limit, color=COLOURS[1], drawstyle="steps-mid")
            axes.plot([], [], color=COLOURS[1], label=f"critical value, {level}")
            if square:
                axes.set_ylim(0, 4 * float(region.belt.high.max()))
            axes.set_ylabel(r"$q$" if square else r"$r$")
            axes.legend()
            return
        y = construction.axes[1][1]
        critical = region.critical.reshape(construction.shape)
        mesh = axes.pcolormesh(x, y, critical, cmap="viridis", shading="nearest")
        axes.figure.colorbar(mesh, ax=axes, label=f"critical value, {level}")
        for outline, style, title in (
            (region.by_toys, "-", "by toys"), (region.wilks, "--", "Wilks"),
        ):  # fmt: skip
            if isinstance(outline, Area):
                for line in outline.contours:
                    axes.plot(line[:, 0], line[:, 1], "w" + style)
                axes.plot([], [], "k" + style, label=f"{title}, area {outline.area:.3g}")
        axes.set_ylabel(label(construction.model, construction.names[1]))
        axes.legend()


def _outline(line: Any, colour: str) -> Any:
    from matplotlib.patches import PathPatch

    return PathPatch(line, facecolor=(colour, 0.25), edgecolor=colour, lw=1.2)


def _colours(number: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(number)]


class figure:
    """Context of a figure with one pair of axes, written whole to a file at its end.

    With more `panels` side by side, it gives an array of axes; with a `mosaic` of names, whose rows
    have heights as `ratios`, axes by name.
    """

    def __init__(
        self,
        output: str | Path,
        overwrite: bool = True,
        panels: int = 1,
        mosaic: Sequence[Sequence[str]] = (),
        ratios: Sequence[float] = (),
    ) -> None:
        self.output, self.overwrite, self.panels = Path(output), overwrite, panels
        self.mosaic: Any = [list(row) for row in mosaic]
        self.ratios = list(ratios)

    def __enter__(self) -> Any:
        """Make the axes."""
        import matplotlib as mpl
        from matplotlib.figure import Figure

        self._style = mpl.rc_context({**STYLE})  # type: ignore[dict-item]
        self._style.__enter__()
        panels = len(self.mosaic[0]) if self.mosaic else self.panels
        self._figure = Figure(figsize=(7 * panels, 6), layout="constrained")
        if self.mosaic:
            return self._figure.subplot_mosaic(self.mosaic, height_ratios=self.ratios)
        return self._figure.subplots(1, panels)

    def __exit__(self, kind: Any, *rest: Any) -> None:
        """Write the file, unless there was an error."""
        try:
            if kind is None:
                form = self.output.suffix.lstrip(".")
                no_date = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(form)
                with replacing(self.output, self.overwrite) as temporary:
                    self._figure.savefig(temporary, format=form, metadata=no_date)
        finally:
            self._style.__exit__(kind, *rest)


def plot_coverage(
    found: Sequence[Coverage], model: Model, names: Sequence[str], output: str | Path
) -> None:
    """Coverage against the point: along a parameter, or as a map at the highest level below 1.

    Parameters
    ----------
    found
        Coverages, from `coverage.coverage`.
    names
        Names of one or two parameters.
    """
    with figure(output) as axes:
        axes.set_xlabel(label(model, names[0]))
        level = found[0].cl
        if len(names) == 2:
            chosen = [c for c in found if c.cl == level and c.region == REGIONS[0]]
            marks = axes.scatter(
                [c.point[0] for c in chosen],
                [c.point[1] for c in chosen],
                c=[c.coverage for c in chosen],
                cmap="viridis",
                s=120,
            )
            for c in chosen:
                axes.annotate(f" {100 * c.coverage:.1f}", c.point)
            axes.figure.colorbar(marks, ax=axes, label=f"coverage of Wilks' {100 * level:g} %")
            axes.set_ylabel(label(model, names[1]))
            return
        shown = [region for region in REGIONS if any(c.region == region for c in found)]
        for region, colour in zip(shown, COLOURS, strict=False):
            chosen = sorted(
                (c for c in found if c.cl == level and c.region == region), key=lambda c: c.point
            )
            axes.errorbar(
                [c.point[0] for c in chosen],
                [c.coverage for c in chosen],
                yerr=[[c.coverage - c.low for c in chosen], [c.high - c.coverage for c in chosen]],
                fmt="o-",
                color=colour,
                label=region.replace("_", "-"),
            )
        axes.axhline(level, color="0.4", ls="--", lw=1)
        axes.set_ylabel("coverage")
        axes.legend()
