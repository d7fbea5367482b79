"""The results of arXiv:1911.00762, each as a plot and as tables beside the printed numbers."""

from collections.abc import Callable

from .detector import figure_7, figure_10, figure_13
from .rates import table_1
from .regions import figure_12, figure_14
from .result import Result, Table
from .spectra import figure_2, figure_15
from .table3 import table_3

RESULTS: dict[str, Callable[[], Result]] = {
    "rates": table_1,
    "table3": table_3,
    "fig2": figure_2,
    "fig7": figure_7,
    "fig10": figure_10,
    "fig12": figure_12,
    "fig13": figure_13,
    "fig14": figure_14,
    "fig15": figure_15,
}

__all__ = ["RESULTS", "Result", "Table"]
