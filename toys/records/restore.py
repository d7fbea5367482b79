"""What a record of toys is of: a construction as JSON and back, and its toys as an ntuple."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ...generator.arrays import Json
from ...generator.sampling.names import STREAMS
from ...reco.errors import OutputError
from ...reco.experiment import Experiment, validate
from ...reco.files import replacing
from ...reco.runs.folder import MANIFEST, Manifest, refuse_another
from ...reco.runs.origin import restored
from ..construction.ensemble import Described, Ensemble
from ..construction.neyman import Construction
from ..construction.numbering import BETWEEN
from ..counts.combination import build
from ..counts.model import Data
from .record import Record


def configuration(construction: Construction, experiments: Sequence[Experiment]) -> Json:
    """Everything that decides the toys of a construction."""
    data = construction.data
    return {
        "experiments": [e.model_dump(mode="json") for e in experiments],
        "axes": {name: x.tolist() for name, x in construction.axes},
        "parameters": [p.name for p in construction.model.parameters],
        "ensemble": construction.ensemble.describe(),
        "seed": construction.seed,
        "data": {"counts": data.counts[0].tolist(), "off": data.off[0].tolist()} | _origins(data),
        "version": version("nuspill"),
        "streams": STREAMS,
    }


def _origins(data: Data) -> Json:
    """What is known of the data's ntuples, if they are from any."""
    return {"origins": [each.as_json() for each in data.origins]} if data.origins else {}


def restore(record: Record) -> Construction:
    """The construction that a record's toys are of.

    Raises
    ------
    OutputError
        If this version would make other toys.
    """
    config = record.config
    if record.manifest.kind != "toys":
        raise OutputError(f"{record.folder}: holds {record.manifest.kind}, not toys")
    experiments = restore_experiments(record)
    model = build(experiments, config["parameters"])
    ensemble = restore_ensemble(config["ensemble"])
    counts, off = (np.array(config["data"][name])[None] for name in ("counts", "off"))
    axes = tuple((name, np.array(x)) for name, x in config["axes"].items())
    centre = np.zeros((1, model.variables))
    data = Data(counts, off, centre, restored(config["data"].get("origins", [])))
    construction = Construction(model, axes, ensemble, config["seed"], data, tuple(experiments))
    wanted = Manifest("toys", configuration(construction, experiments), {})
    refuse_another(record.folder, record.manifest, wanted)
    return construction


def restore_experiments(record: Record) -> list[Experiment]:
    """The experiments of a record."""
    origin = str(record.folder / MANIFEST)
    return [validate(dict(e), origin) for e in record.config["experiments"]]


def restore_ensemble(content: Described) -> Ensemble:
    """An ensemble from its description."""
    return Ensemble(
        content["nuisance_truth"],
        content["pull_centres"],
        content["nuisance_values"],
        "events" if content["counts"] == "events" else "bins",
    )


def write_ntuple(construction: Construction, record: Record, path: Path) -> None:
    """Write the toys of a record as a ROOT ntuple `toys`, fitted again by their numbers.

    Columns: ``point``, ``toy``, ``q``, ``status`` (0 where both fits converged), ``chi2`` of the
    global minimum, and ``fit_NAME`` of each variable there. Toys at points round limits, which are
    not of the grid, are left out.
    """
    import uproot

    names = [f"fit_{name.replace('.', '_')}" for name in construction.model.names]
    kinds = {"point": np.int32, "toy": np.int64, "q": float, "status": np.int8, "chi2": float}
    branches = {name: np.dtype(kind) for name, kind in kinds.items()}
    branches |= {name: np.dtype(float) for name in names}
    with replacing(path, overwrite=True) as temporary, uproot.recreate(temporary) as file:
        tree = file.mktree("toys", branches)
        for point, start, stop in sorted(record.done()):
            if point >= BETWEEN:
                continue
            at, free = construction.fits(point, start, stop)
            tree.extend(
                {
                    "point": np.full(stop - start, point, np.int32),
                    "toy": np.arange(start, stop),
                    "q": at.chi2 - free.chi2,
                    "status": np.maximum(at.status, free.status).astype(np.int8),
                    "chi2": free.chi2,
                    **dict(zip(names, free.values.T, strict=True)),
                }
            )
