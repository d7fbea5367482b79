"""The coefficients in the kernels of random numbers: fails if one of them is not what is fitted."""

import ast
import inspect

import numpy as np
import pytest
from nuspill.generator.sampling import stream
from nuspill.scripts import fit_polynomials


def coefficients(kernel, name):
    """Of Horner's scheme for `name` in a kernel, from the highest power down."""
    found = []
    for node in ast.walk(ast.parse(inspect.getsource(kernel.py_func))):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name:
            value, sign = node.value, 1.0
            if isinstance(value, ast.BinOp):
                sign, value = (-1.0 if isinstance(value.op, ast.Sub) else 1.0), value.right
            if isinstance(value, ast.Call):
                value = value.args[0]
            if isinstance(value, ast.Name):
                found.append((node.lineno, 1.0))
            else:
                found.append((node.lineno, sign * ast.literal_eval(value)))
    return np.array([value for _, value in sorted(found)])


@pytest.mark.parametrize(
    ("kernel", "name", "fit"),
    [
        pytest.param(stream.normal_quantile, "p", fit_polynomials.normal_quantile, id="quantile"),
        pytest.param(stream.half_turn, "p", fit_polynomials.sine, id="sine"),
        pytest.param(stream.half_turn, "q", fit_polynomials.cosine, id="cosine"),
    ],
)
def test_the_kernels_have_what_is_fitted(kernel, name, fit):
    fitted = fit()[::-1]
    there = coefficients(kernel, name)
    assert there.shape == fitted.shape
    assert np.max(np.abs(there - fitted)) < 1e-8 * np.max(np.abs(fitted))
