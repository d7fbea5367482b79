"""`nuspill rates`: expected events a year, beside the paper's."""

from __future__ import annotations

from typing import Any

import click

from ...reco.experiment import load, shipped_experiments
from ..common import experiment_options, print_table, write_json


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME|FILE.toml]...")
@experiment_options
def command(
    names: tuple[str, ...],
    settings: dict[str, Any],
    preset: str | None,
    source: str | None,
    json_file: str | None,
) -> None:
    """Expected events a year of operation, by quadrature.

    Without a name, all shipped experiments. With --source, the experiments' own source is shown
    beside it, and the ratios (own over --source) of signal and of signal over root background; a
    shipped source brings its distance, which --set source.distance changes. S/√B is that of the
    paper: signal above threshold, before the acceptance, over steady background in beam-on.
    """
    from ...reco.expectation import rates

    chosen = names or tuple(n for n in shipped_experiments() if n.startswith("ess") or not source)
    found: dict[str, Any] = {}
    for name in chosen:
        found[name] = rates(load(name, settings, preset, source))
        if source is not None:
            own = rates(load(name, settings, preset, None))
            found[name]["own_source"] = own
            found[name]["ratio_above_threshold"] = (
                own["above_threshold"] / found[name]["above_threshold"]
            )
            merits = own["figure_of_merit"], found[name]["figure_of_merit"]
            found[name]["ratio_figure_of_merit"] = merits[0] / merits[1] if all(merits) else None
    columns = [
        "experiment",
        "above threshold",
        "ν_μ",
        "ν_e",
        "ν̄_μ",
        "selected",
        "steady on",
        "steady off",
        "S/√B",
    ]
    keys = [
        "above_threshold",
        "numu",
        "nue",
        "numubar",
        "selected",
        "steady_on",
        "steady_off",
        "figure_of_merit",
    ]
    if source is not None:
        columns += ["own source", "ratio", "ratio of S/√B"]
    rows = []
    for name, values in found.items():
        row = [name, *(values.get(key) for key in keys)]
        if source is not None:
            row += [
                values["own_source"]["above_threshold"],
                values["ratio_above_threshold"],
                values["ratio_figure_of_merit"],
            ]
        rows.append(row)
    title = "Events a year of operation" + (f" at {source}" if source else "")
    print_table(title, columns, rows, json_file == "-")
    write_json(json_file, found)
