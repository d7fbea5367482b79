"""`nuspill experiments`: what is shipped."""

from __future__ import annotations

import click

from ...generator.beam import shipped_sources
from ...reco.experiment import load, shipped_experiments
from ..common import json_option, print_table, write_json


@click.command()
@json_option
def command(json_file: str | None) -> None:
    """List the experiments and sources that come with nuspill."""
    found = {}
    for name in shipped_experiments():
        experiment = load(name)
        material = experiment.target.material
        found[name] = {
            "description": experiment.description,
            "source": experiment.source.name,
            "target": material if isinstance(material, str) else "mixture",
            "mass_kg": experiment.target.mass,
            "threshold_kev_nr": experiment.detector.threshold,
            "distance_m": experiment.source.distance,
            "unit": experiment.detector.unit,
        }
    quiet = json_file == "-"
    columns = ["experiment", "target", "kg", "keV_nr", "m", "source", "e_reco", ""]
    keys = ["target", "mass_kg", "threshold_kev_nr", "distance_m", "source", "unit", "description"]
    rows = [[name, *(e[key] for key in keys)] for name, e in found.items()]
    print_table("Experiments", columns, rows, quiet)
    sources = list(shipped_sources())
    if not quiet:
        click.echo("\nSources: " + ", ".join(sources))
    write_json(json_file, {"experiments": found, "sources": sources})
