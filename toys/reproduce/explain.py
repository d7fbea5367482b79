"""Calculations for the entries of Table 3 that agree neither with the paper nor with another.

a  |⟨r²_eμ⟩|: with the other radii free, both diagonal couplings may vanish, and all of the rate may
   come from the transition: (4.12) gives √(1 + δ) |Z g_Vp + N g_Vn| / (0.0264 Z), where δ is the
   excess of the signal that the data allow.
b  Silicon: the background is per keV_ee, and the quenching factor turns it into keV_nr. A constant
   one of 0.10, also with the background of 365 days × 0.04, is the alternative.
c  Xe + Ar: whether the fills share their signal pull, and what either half gives alone.
"""

from __future__ import annotations

from ...generator.coupling import charge_radius_coupling, vector_couplings
from ...reco.experiment import Experiment
from .limits import LABELS, Entry, limits, strength_excess
from .paper import BOTH, YEARS, experiment, periods
from .result import Table

HALF = {"exposure.years": YEARS / 2}
SILICON: dict[str, dict[str, object]] = {
    "quenching 0.10": {"detector.quenching": {"model": "constant", "factor": 0.10}},
    "quenching 0.10, 365 days × 0.04": {
        "detector.quenching": {"model": "constant", "factor": 0.10},
        "background.steady.rate": 365 * 24 * 0.04 / (5000 * 14 * 2.8e-3),
    },
}
"""Other readings of the background of silicon; 5000 h × 14 Hz × 2.8 ms is that of the preset."""


def letter(entry: Entry) -> str:
    """Letter of the calculation for an entry, empty if there is none."""
    if entry.quantity == "radius.emu" and entry.column != BOTH:
        return "a"
    return {"ess-si": "b", BOTH: "c"}.get(entry.column, "")


def full_cancellation(chosen: Experiment, excess: float) -> float:
    """Limit on |⟨r²_eμ⟩| in 1e-32 cm² where all of the rate comes from the transition (4.12)."""
    g = vector_couplings(chosen.interaction, "numu")[0]
    nuclei = chosen.target.nuclei
    weak = sum(n.per_kg * (n.z * g.proton + n.n * g.neutron) ** 2 for n in nuclei)
    electric = sum(n.per_kg * n.z**2 for n in nuclei)
    unit = charge_radius_coupling(1.0, chosen.interaction.sin2w)
    return float(((1 + excess) * weak / electric) ** 0.5 / unit)


def explanations(found: list[Entry]) -> tuple[Table, int]:
    """The calculations for all entries that differ, and the number of fits that failed."""
    rows: list[tuple[str, str, str, str, float, float, float, float]] = []
    failures: list[int] = []

    def add(entry: Entry, what: str, value: float) -> None:
        key, column = letter(entry), LABELS[entry.column]
        rows.append((key, column, entry.name, what, value, value / entry.ours, entry.paper,
                     value / entry.paper))  # fmt: skip

    def limit(entry: Entry, what: str, experiments: list[Experiment]) -> None:
        values, failed = limits(experiments, entry.quantity)
        failures.append(failed)
        add(entry, what, values[entry.side])

    def cancellation(entry: Entry, where: str, experiments: list[Experiment]) -> None:
        excess, failed = strength_excess(experiments)
        failures.append(failed)
        what = f"full cancellation{where}, δ = {excess:.3f}"
        add(entry, what, full_cancellation(experiments[0], excess))

    for e in (e for e in found if e.verdict != "paper" or e.column == BOTH):
        if letter(e) == "a":
            cancellation(e, "", periods(e.column))
        elif letter(e) == "b":
            for what, settings in SILICON.items():
                limit(e, what, [experiment("ess-si", settings)])
        elif letter(e) == "c":
            limit(e, "common signal pull", common_pull())
            for name, gas in (("ess-xe", "Xe"), ("ess-xe-ar", "Ar")):
                alone = [experiment(name, HALF)]
                if e.quantity == "radius.emu":
                    cancellation(e, f" in the 1.5 years of {gas}", alone)
                elif e.quantity == "moment.numu":
                    limit(e, f"the 1.5 years of {gas} alone", alone)
    rows.sort(key=lambda row: row[0])
    table = Table(
        "Table 3: calculations for the entries with a letter",
        (
            "", "detector", "quantity", "calculation", "value", "over nuspill", "paper",
            "over paper",
        ),
        tuple(rows),
        "a: what (4.12) allows where both diagonal couplings vanish. It is what nuspill finds; the "
        "printed limits are lower for every detector. b: the quenching of silicon turns its "
        "background into keV_nr; with another reading the printed limits follow. c: the paper does "
        "not say whether the fills share their signal pull; the preset has own pulls because they "
        "are nearer to Table 3. The paper prints the longer side of sin²θ_W below the best fit, "
        "unlike every other column: a pull of 10 % allows 20 % more signal, but 14 % less. The "
        f"width is {_width(found)}. Its moment is that of one half of the run alone, and together "
        "they cannot be worse.",
    )  # fmt: skip
    return table, sum(failures)


def common_pull() -> list[Experiment]:
    """Xe + Ar with one signal pull for both fills."""
    shared = HALF | {"analysis.signal_pull": "signal"}
    return [experiment(e.name, shared) for e in periods(BOTH)]


def _width(entries: list[Entry]) -> str:
    low, high = (e for e in entries if e.column == BOTH and e.quantity == "sin2w")
    return f"{high.ours - low.ours:.3f} against {high.paper - low.paper:.3f} printed"
