"""Coherent elastic neutrino-nucleus scattering at pulsed sources: events, toys, comparison.

    load -> plan, generate, iterate -> write, read      an experiment, its events, ntuples
    build -> scan_1d, scan_2d, search, Construction     a model of its counts, regions by χ² or toys
    models, observed -> report, fitted, bands           a fit to data, and what one may expect

Names are imported on first use, so that what needs no compiled code starts fast; the file
`__init__.pyi` beside this one says where each is from.
"""

import lazy_loader as _lazy_loader

_attribute, __dir__, __all__ = _lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("nuspill")
    return _attribute(name)
