"""`nuspill experiments`: what is shipped."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from ..options.output import Output, json_option

if TYPE_CHECKING:
    from ...reco.experiment import Experiment


@dataclass(frozen=True)
class Summary:
    """An experiment in a line."""

    description: str
    source: str
    target: str
    mass_kg: float
    threshold_kev_nr: float
    distance_m: float
    unit: str


@click.command()
@json_option
def command(output: Output) -> None:
    """List the experiments and sources that come with nuspill."""
    from ...generator.beam import shipped_sources
    from ...reco.experiment import load, shipped_experiments

    summaries = {name: summary(load(name)) for name in shipped_experiments()}
    columns = ["experiment", "target", "kg", "keV_nr", "m", "source", "e_reco", ""]
    rows = [
        (name, e.target, e.mass_kg, e.threshold_kev_nr, e.distance_m, e.source, e.unit,
         e.description)
        for name, e in summaries.items()
    ]  # fmt: skip
    output.table("Experiments", columns, rows)
    sources = list(shipped_sources())
    output.text("\nSources: " + ", ".join(sources))
    experiments = {name: asdict(e) for name, e in summaries.items()}
    output.json({"experiments": experiments, "sources": sources})


def summary(experiment: Experiment) -> Summary:
    """An experiment in a line."""
    material = experiment.target.material
    return Summary(
        description=experiment.description,
        source=experiment.source.name,
        target=material if isinstance(material, str) else "mixture",
        mass_kg=experiment.target.mass,
        threshold_kev_nr=experiment.detector.threshold,
        distance_m=experiment.source.distance,
        unit=experiment.detector.unit,
    )
