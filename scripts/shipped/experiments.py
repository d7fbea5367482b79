"""`nuspill experiments`: what is shipped."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from ..options.output import Output, json_option

if TYPE_CHECKING:
    from ...generator.arrays import Json


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
    from ...reco.experiment import file_data, shipped_experiments

    summaries = {name: summary(file_data(name)) for name in shipped_experiments()}
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


def summary(data: Json) -> Summary:
    """An experiment in a line, from what its file says."""
    from ...reco.response.detector import Detector

    source, target, detector = data["source"], data["target"], data["detector"]
    material = target["material"]
    return Summary(
        description=data["description"],
        source=source["name"],
        target=material if isinstance(material, str) else "mixture",
        mass_kg=target["mass"],
        threshold_kev_nr=detector["threshold"],
        distance_m=source["distance"],
        unit=Detector.model_validate(detector).unit,
    )
