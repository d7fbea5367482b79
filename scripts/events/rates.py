"""`nuspill rates`: expected events a year, beside the paper's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from ...reco.experiment import periods, shipped_experiments
from ..options.loading import Loading, setting_options
from ..options.output import Output, json_option

COLUMNS = {
    "above_threshold": "above threshold",
    "numu": "ν_μ",
    "nue": "ν_e",
    "numubar": "ν̄_μ",
    "selected": "selected",
    "steady_on": "steady on",
    "steady_off": "steady off",
    "figure_of_merit": "S/√B",
}
"""Heads of the columns, by the key of each number of an experiment."""


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME|FILE.toml]...")
@setting_options
@json_option
def command(names: tuple[str, ...], loading: Loading, output: Output) -> None:
    """Expected events a year of operation, by quadrature.

    Without a name, all shipped experiments. With --source, the experiments' own source is shown
    beside it, and the ratios (own over --source) of signal and of signal over root background; a
    source of another distance needs --set source.distance. S/√B is that of the paper: signal above
    threshold, before the acceptance, over steady background in beam-on.
    """
    source = loading.source
    chosen = names or tuple(n for n in shipped_experiments() if n.startswith("ess") or not source)
    named = [period for name in chosen for period in periods(name)]
    numbers = {name: _rates(name, loading) for name in named}
    columns = ["experiment", *COLUMNS.values()]
    rows = [[name, *(values.get(key) for key in COLUMNS)] for name, values in numbers.items()]
    if source is not None:
        columns += ["own source", "ratio", "ratio of S/√B"]
        for row, values in zip(rows, numbers.values(), strict=True):
            row += [values["own_source"]["above_threshold"]]
            row += [values["ratio_above_threshold"], values["ratio_figure_of_merit"]]
    output.table("Events a year of operation" + (f" at {source}" if source else ""), columns, rows)
    output.json(numbers)


def _rates(name: str, loading: Loading) -> dict[str, Any]:
    """Numbers of an experiment, beside those at its own source if another one is given."""
    from ...reco.expectation import rates

    numbers: dict[str, Any] = rates(loading.load(name))
    if loading.source is None:
        return numbers
    own = rates(replace(loading, source=None).load(name))
    merits = own["figure_of_merit"], numbers["figure_of_merit"]
    return numbers | {
        "own_source": own,
        "ratio_above_threshold": own["above_threshold"] / numbers["above_threshold"],
        "ratio_figure_of_merit": merits[0] / merits[1] if all(merits) else None,
    }
