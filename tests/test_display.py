"""How objects show themselves: fails if one is more than a line, or a notebook shows no table."""

import nuspill
import pytest
from nuspill.toys.coverage import Coverage


@pytest.fixture(scope="module")
def model():
    return nuspill.build([nuspill.load("ess-ar")], ["nsi.u.ee", "nsi.u.mumu"])


@pytest.fixture(scope="module")
def shown(model):
    experiment = nuspill.load("ess-ar")
    one = nuspill.build([experiment], ["strength"])
    axis = nuspill.Axis("strength", 0.5, 1.5, 5)
    scan = nuspill.scan_1d(one, axis, 0.9)
    plane = nuspill.scan_2d(
        model, (nuspill.Axis("nsi.u.ee", -1, 1, 9), nuspill.Axis("nsi.u.mumu", -1, 1, 9)), 0.9
    )
    return {
        "ess-ar": experiment,
        "seed 7": nuspill.plan(experiment, seed=7, years=0.1),
        "strength": scan,
        "nsi.u.mumu": plane,
        "of ess-ar": model,
        "degrees": nuspill.fitted(one, one.asimov()),
        "no signal at": nuspill.report(nuspill.models([experiment], ["strength"]), one.asimov()),
        "median limits": nuspill.bands(one, [axis], 0.9, 20, 1),
        "0.9000 ± 0.01": Coverage((1.0,), "wilks", 0.9, 2.7, 900, 1000, 0.89, 0.91, 0.01, 0),
    }


def test_objects_are_one_line_and_a_table(shown):
    for text, thing in shown.items():
        line, table = repr(thing), thing._repr_html_()
        assert "\n" not in line
        assert len(line) < 250
        assert text in line
        assert table.startswith("<table>")
        assert table.count("<tr>") == len(thing.facts())
