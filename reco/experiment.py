"""An experiment: one TOML file, validated once into frozen objects.

    [source] [target] [interaction] [exposure] [detector] [windows] [[background]] [analysis] [daq]
    [[template]] [release] [preset.NAME] [[period]]

`source.base` starts from a shipped source, `extends` from another experiment. A preset holds
values that replace the file's own, for example the paper's choices. What depends on a value of the
source that is replaced is derived anew, or the change is refused: see `Source.changed`. A beam that
changes over the years has periods: each holds its `years` and what differs in them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from copy import deepcopy
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import PositiveFloat, PositiveInt, ValidationError, model_validator

from ..generator.arrays import Json
from ..generator.beam import Source, shipped_source_text, shipped_sources
from ..generator.coupling import Interaction
from ..generator.display import Displayed
from ..generator.rate import Channel, channels
from ..generator.sampling.names import streams_of
from ..generator.settings import Settings, setting
from ..generator.target import Target
from .analysis import KNOWN, Analysis
from .configuration.explain import explain, unknown
from .configuration.layers import Key, consistent
from .configuration.tables import with_tables
from .configuration.unused import without_effect
from .daq import Daq
from .errors import ExperimentError, notice
from .response.background import SIGNAL, Background
from .response.detector import Detector
from .response.resolution import with_reference
from .response.time_efficiency import TimeEfficiency
from .templates.template import Release, Template
from .window import Windows, WindowSettings, windows

ROUNDING = 1e-12
"""Relative difference of times that is rounding."""
WHOLE = {"material", "form_factor"}
"""Settings that a layer replaces as a whole, tables too."""


class Exposure(Settings):
    """How long a run is, and how it is cut."""

    years: PositiveFloat = setting(
        3.0, "length of the run, years of operation of source.hours_per_year each", "years"
    )
    truth_threshold: PositiveFloat | None = setting(
        None, "least true recoil made; by default 1e-4 of the selected events lie below", "keV_nr"
    )
    slice_pulses: PositiveInt | None = setting(
        None, "pulses a slice, the unit of random numbers; by default about 8192 events", le=2**31
    )


class Experiment(Displayed, Settings):
    """A detector at a source."""

    name: str = setting(..., "name of the experiment", min_length=1)
    description: str = setting("", "one line")
    source: Source = setting(..., "neutrinos")
    target: Target = setting(..., "nuclei")
    interaction: Interaction = setting(Interaction(), "couplings and form factor")
    exposure: Exposure = setting(Exposure(), "running time")
    detector: Detector = setting(..., "response")
    windows: WindowSettings = setting(WindowSettings(), "beam-on and beam-off")
    background: tuple[Background, ...] = setting((), "backgrounds, numbered from 10", strict=False)
    template: tuple[Template, ...] = setting(
        (), "signal and backgrounds from files, in place of computed ones", strict=False
    )
    release: Release | None = setting(None, "whose files these are, if not the experiment's own")
    analysis: Analysis = setting(Analysis(), "bins, statistic and uncertainties")
    daq: Daq = setting(Daq(), "data acquisition: units, epoch and channels of recorded data")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _ = self.beam_windows
        end = self.end_point
        if self.detector.threshold >= end:
            raise ValueError(
                f"detector.threshold {self.detector.threshold:g} keV_nr is not below the end "
                f"point {end:.4g} keV of the recoils"
            )
        truth = self.exposure.truth_threshold
        if truth is not None and truth >= end:
            raise ValueError(
                f"exposure.truth_threshold {truth:g} keV is not below the end point {end:.4g} keV"
            )
        if self.detector.e_max is not None and self.detector.e_max <= self.detector.threshold:
            raise ValueError(
                f"detector.e_max {self.detector.e_max:g} keV_nr must be above detector.threshold "
                f"{self.detector.threshold:g} keV_nr"
            )
        grid = np.linspace(0.0, np.sqrt(self.energy_top), 4097)[1:] ** 2
        with np.errstate(all="ignore"):
            e_ee = self.detector.electron_equivalent(grid)
            steps = np.nan_to_num(np.diff(e_ee, prepend=0.0), nan=-1.0, posinf=-1.0)
        if np.any(steps <= 0):
            at = grid[int(np.argmin(steps))]
            raise ValueError(
                f"detector.quenching '{self.detector.quenching.model}' must increase with T up to "
                f"{self.energy_top:.4g} keV_nr; it does not near {at:.4g} keV_nr"
            )
        unknown_radii = self.interaction.unknown_radii(n.name for n in self.target.nuclei)
        if unknown_radii:
            nuclei = ", ".join(n.name for n in self.target.nuclei)
            raise ValueError(f"interaction.{unknown_radii[0]}: the target's nuclei are {nuclei}")
        self._check_time_axis()
        self._check_templates()
        names = [b.name for b in self.background]
        if len(set(streams_of(names))) < 2 + len(names):
            raise ValueError(f"background names must differ, not {', '.join(names)}")
        if len(names) > 100:
            raise ValueError(f"at most 100 backgrounds, not {len(names)}")
        return self

    def _check_time_axis(self) -> None:
        """Refuse bins of time outside of beam-on, or where no time is measured."""
        edges, w = self.analysis.time_edges, self.beam_windows
        if edges is None:
            return
        if self.detector.time_resolution == "exposure":
            raise ValueError(
                "analysis.axes: time cannot be binned with detector.time_resolution = 'exposure', "
                "of which only the window is known"
            )
        near = ROUNDING * w.period
        if edges[0] < w.on_start - near or edges[-1] > w.on_stop + near:
            raise ValueError(
                f"analysis.axes: bins of time from {edges[0]:g} to {edges[-1]:g} ns must lie in "
                f"beam-on, {w.on_start:g} to {w.on_stop:g} ns (windows.on_start, "
                "windows.on_length)"
            )

    def _check_templates(self) -> None:
        """Refuse a component that is there twice, and axes that are not known of all of them."""
        names = [t.name for t in self.template]
        twice = [n for n in names if names.count(n) > 1 or n in {b.name for b in self.background}]
        if twice:
            raise ValueError(f"template.{twice[0]}: there is another component of that name")
        computed = [b.name for b in self.background if b.enabled]
        computed += [] if SIGNAL in names else [SIGNAL]
        axes, others = self.analysis.axes, self.analysis.others
        if others and computed:
            raise ValueError(
                f"analysis.axes: '{others[0].name}': computed components ({', '.join(computed)}) "
                "have energy and time alone: give a [[template]] from a file for each"
            )
        order = [name for name in KNOWN if name in [a.name for a in axes]]
        order += [axis.name for axis in others]
        if (names or others) and [axis.name for axis in axes] != order:
            raise ValueError(
                f"analysis.axes: with templates from files their order is {', '.join(order)}"
            )
        if names and self.analysis.bins_energy and self.analysis.energy_edges is None:
            raise ValueError("analysis: templates from files need `edges` of the energy")
        if names and self.analysis.statistic != "pulls":
            raise ValueError(
                f"analysis.statistic = '{self.analysis.statistic}': what of a template from a file "
                "falls in beam-off is not known; only 'pulls' is possible"
            )

    def facts(self) -> dict[str, object]:
        """Name, source, target and exposure."""
        target, source = self.target, self.source
        material = target.material if isinstance(target.material, str) else "mixture"
        facts: dict[str, object] = {
            "name": self.name,
            "target": f"{target.mass:g} kg {material}",
            "source": f"{source.name} at {source.distance:g} m",
            "exposure": f"{self.exposure.years:g} years",
            "threshold": f"{self.detector.threshold:g} keV_nr",
            "e_reco in": self.detector.unit,
            "backgrounds": ", ".join(b.name for b in self.background if b.enabled) or "none",
        }
        if self.template:
            facts["from files"] = ", ".join(t.name for t in self.template)
        return facts

    @cached_property
    def channels(self) -> tuple[Channel, ...]:
        """Channels of the signal: every (flavour, nucleus)."""
        return channels(self.source, self.target, self.interaction)

    @cached_property
    def end_point(self) -> float:
        """Largest recoil energy of any channel, keV."""
        return max(channel.end_point for channel in self.channels)

    @property
    def e_max(self) -> float:
        """Largest energy analysed, keV_nr."""
        return self.detector.e_max or self.end_point

    @cached_property
    def energy_top(self) -> float:
        """Largest recoil energy that tables of the response cover, keV_nr.

        Twice that of the signal, for what is smeared upwards, and all of the backgrounds.
        """
        top = 2 * max(self.end_point, self.e_max)
        for background in self.background:
            high = background.highest
            if background.scale == "keV_nr" or self.detector.unit == "keV_nr":
                top = max(top, 1.01 * high)
            elif background.scale == "reco":
                high = high / self.detector.per_kev
            if background.scale != "keV_nr":
                with np.errstate(all="ignore"):
                    while top < 1e9 and self.detector.electron_equivalent(top) < high:
                        top *= 1.5
        return top

    @cached_property
    def beam_windows(self) -> Windows:
        """Beam-on and beam-off in ns."""
        return windows(self.windows, self.source)

    def time_efficiency(self, background: Background | None = None) -> TimeEfficiency:
        """Efficiency in time of a background, or of the signal."""
        own = background.time_efficiency if background else None
        return own or self.detector.time_efficiency

    @property
    def background_pull(self) -> str:
        """Name of the nuisance parameter of the steady-state background."""
        return f"background.{self.analysis.background_pull or self.name}"

    @property
    def components(self) -> dict[int, str]:
        """Names by number, as in the column `component`; backgrounds from 10, in file order."""
        flavours = {flavour.component: flavour.name for flavour in self.source.flavours}
        return flavours | {10 + i: b.name for i, b in enumerate(self.background) if b.enabled}

    def template_of(self, name: str) -> Template | None:
        """Template from a file of a component, if it has one."""
        return next((t for t in self.template if t.name == name), None)

    def component_of(self, background: Background) -> int:
        """Number of a background."""
        return 10 + self.background.index(background)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy; with other sections it is checked as a new one, without what follows from them.

        `replace` takes single values, and derives anew what depends on them.
        """
        try:
            return super().model_copy(update=update, deep=deep)
        except ValidationError as error:
            raise ExperimentError(
                explain(error, Experiment, dict(update or {}), self.name)
            ) from None

    def replace(self, **settings: Any) -> Experiment:
        """The experiment with some keys changed, e.g. ``replace(**{"target.mass": 30.0})``.

        Raises
        ------
        ExperimentError
            As `load`.
        """
        data = self.model_dump(mode="python", exclude_defaults=False)
        return validate(_with(data, settings, self.name), self.name)


def shipped_experiments() -> tuple[str, ...]:
    """Names of the experiments in the package."""
    folder = resources.files(__package__) / "experiments"
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml")))


def source_text(name: str) -> str:
    """TOML text of a shipped experiment."""
    if name not in shipped_experiments():
        raise ExperimentError(unknown("experiment", name[:80], shipped_experiments()))
    return (resources.files(__package__) / "experiments" / f"{name}.toml").read_text("utf-8")


def load(
    name: str | Path,
    settings: Mapping[str, Any] | None = None,
    preset: str | None = None,
    source: str | None = None,
) -> Experiment:
    """Load and validate an experiment.

    Parameters
    ----------
    name
        A shipped experiment (``ess-csi``), whatever files are in the working folder, or the path
        of a TOML file; of one with periods ``beam.toml#2`` is the second.
    settings
        Values by dotted key that replace the file's, e.g. ``{"source.distance": 25.0}``. A
        background is reached by its name: ``background.steady.rate``.
    preset
        Name of a preset of the file, e.g. ``paper``. An experiment without it is left as it is.
    source
        A shipped source in place of the file's; if its distance is another one, `settings` must
        give ``source.distance``.

    Raises
    ------
    ExperimentError
        Naming file, key, value and what is allowed.
    """
    origin = str(name)
    data, number = _file(name)
    presets = data.pop("preset", {})
    for key, value in presets.items() if isinstance(presets, dict) else [("", presets)]:
        if not isinstance(value, dict):
            raise ExperimentError(
                f"{origin}: preset{key and '.' + key} = {value!r}: must be a table of settings"
            )
    if preset is not None and preset in presets:
        data = _over(data, presets[preset], origin)
    elif preset is not None and preset != "paper":
        raise ExperimentError(unknown(f"preset of {origin}", preset, tuple(presets)))
    tables = data.pop("period", [])
    if tables or number is not None:
        data = _over(data, _period(tables, number, settings or {}, origin), origin)
        data = _named_by_period(data, number)
    settings = settings or {}
    if source is not None:
        distance = {key[7:]: settings[key] for key in ("source.distance",) if key in settings}
        data = _over(data, {"source": {"base": source} | distance}, origin)
    experiment = validate(_with(data, settings, origin), origin)
    if preset is not None and preset not in presets and str(name) not in shipped_experiments():
        notice(f"{origin} has no preset '{preset}': it is taken as it is")
    for line in without_effect(experiment, settings):
        notice(f"{origin}: {line}")
    return experiment


def file_data(name: str | Path) -> Json:
    """What an experiment's file says on top of what it extends; no value is checked."""
    return _file(name)[0]


def periods(name: str | Path) -> tuple[str, ...]:
    """Names by which `load` gives the periods of a file; the name alone if it has none."""
    data, number = _file(name)
    tables = data.get("period")
    if number is not None or not isinstance(tables, list) or not tables:
        return (str(name),)
    return tuple(f"{name}#{i}" for i in range(1, len(tables) + 1))


def validate(data: Json, origin: str) -> Experiment:
    """Build the experiment from plain data, or raise one clear `ExperimentError`."""
    try:
        return Experiment.model_validate(data)
    except ValidationError as error:
        raise ExperimentError(explain(error, Experiment, data, origin)) from None


def _file(name: str | Path) -> tuple[Json, int | None]:
    """What an experiment's file holds, and the number of the period after its name, from 1."""
    text, number = str(name), None
    if match := re.fullmatch(r"(.*\.toml)#(\d{1,4})", text):
        text, number = match[1], int(match[2])
    path = Path(text)
    shipped = text in shipped_experiments()
    for shadow in (path, path.with_name(f"{path.name}.toml")) if shipped else ():
        if shadow.is_file():
            notice(f"{text} is the experiment of that name in nuspill; the file is ./{shadow}")
    is_file = path.suffix == ".toml" or (len(text) < 256 and path.is_file())
    return _read(path if is_file and not shipped else text, text), number


def _period(tables: Any, number: int | None, settings: Mapping[str, Any], origin: str) -> Json:
    """What one of the periods of a file changes, its years as those of the exposure."""
    if not isinstance(tables, list) or not all(isinstance(period, dict) for period in tables):
        raise ExperimentError(f"{origin}: period must be a list of tables: write [[period]]")
    if number is None:
        raise ExperimentError(
            f"{origin} has {len(tables)} periods: name one, from {origin}#1 to "
            f"{origin}#{len(tables)}"
        )
    if not 1 <= number <= len(tables):
        raise ExperimentError(f"{origin}: no period {number}; there are {len(tables)}")
    period = dict(tables[number - 1])
    if "years" not in period:
        raise ExperimentError(f"{origin}: period {number}: years is required")
    if {"exposure", "exposure.years"} & set(settings) or "exposure" in period:
        raise ExperimentError(
            f"{origin}: exposure.years contradicts period {number}, which has its own years"
        )
    return period | {"exposure": {"years": period.pop("years")}}


def _named_by_period(data: Json, number: int | None) -> Json:
    """A period under a name of its own, as its random numbers are, with the file's background pull.

    It is the same detector at another time: what pulls its background in one period, does in all.
    """
    name, analysis = data.get("name"), data.get("analysis", {})
    if not isinstance(name, str) or not isinstance(analysis, dict):
        return data  # which the validation refuses
    pull = analysis.get("background_pull") or name
    return data | {"name": f"{name}#{number}", "analysis": analysis | {"background_pull": pull}}


def _read(name: Path | str, origin: str) -> Json:
    try:
        text = name.read_text("utf-8") if isinstance(name, Path) else source_text(name)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ExperimentError(f"{origin}: cannot be read: {reason}") from None
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ExperimentError(f"{origin}: not valid TOML: {error}") from None
    if isinstance(name, Path):
        data = with_tables(data, name.parent, origin)
    data = _anchored(data)
    base = data.pop("extends", None)
    parent: Json = {}
    if base is not None:
        if base not in shipped_experiments():
            missing = unknown("experiment", str(base), shipped_experiments())
            raise ExperimentError(f"{origin}: extends = {base!r}: {missing}")
        parent = _read(base, origin)
        parent.pop("preset", None)  # a preset belongs to the file that states it
        parent.pop("period", None)
    return _anchored(_over(parent, data, origin))


def _over(data: Json, layer: Mapping[str, Any], origin: str) -> Json:
    """`layer`, a file or a preset, on top of `data`, and what follows from it.

    A source with `base` is another one, and no change of that of `data`.
    """
    merged, section = _merge(data, layer), layer.get("source")
    given: set[Key] = {("background",)} if "background" in layer else set()
    if isinstance(section, Mapping) and "base" in section:
        over = {key: value for key, value in section.items() if key != "base"}
        shipped = {"source": _shipped_source(str(section["base"]), origin)}
        _refuse_distance(data, shipped, over, origin)
        merged["source"] = _over(shipped, {"source": over}, origin)["source"]
        given.add(("source",))
    elif isinstance(section, Mapping):
        given |= {("source", key) for key in section}
    analysis = layer.get("analysis")
    if isinstance(analysis, Mapping):
        given |= {("analysis", key) for key in analysis}
    return consistent(data, merged, given, origin)


def _refuse_distance(data: Json, other: Json, given: Mapping[str, Any], origin: str) -> None:
    """Refuse another source that would move the detector, if no distance is given with it."""
    own, default = data.get("source"), Source.model_fields["distance"].default
    if not isinstance(own, dict) or "distance" in given:
        return
    here, there = (source.get("distance", default) for source in (own, other["source"]))
    if here != there:
        raise ExperimentError(
            f"{origin}: another source leaves source.distance open: give it as well, {here:g} m "
            f"as before, or {there:g} m as in '{other['source'].get('name')}'"
        )


def _with(data: Json, settings: Mapping[str, Any], origin: str) -> Json:
    """`data` with values by dotted key, and what follows from them."""
    changed = deepcopy(data)
    for key, value in settings.items():
        _assign(changed, key, value, origin)
    changed = with_tables(changed, Path(), origin)
    return consistent(data, changed, {tuple(key.split(".")) for key in settings}, origin)


def _anchored(data: Json) -> Json:
    """What a file says, with the reference energy of its resolution: `--set` leaves that alone."""
    return data | {"detector": with_reference(data["detector"])} if "detector" in data else data


def _shipped_source(name: str, origin: str) -> Json:
    if name not in shipped_sources():
        raise ExperimentError(f"{origin}: " + unknown("source", name, shipped_sources()))
    return tomllib.loads(shipped_source_text(name))


def _merge(base: Json, over: Mapping[str, Any]) -> Json:
    """`over` on top of `base`; tables merge, unless `over` names another model or material."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = value
        if isinstance(old, dict) and isinstance(value, Mapping) and key not in WHOLE:
            model = old.get("model")
            if value.get("model", model) == model:
                merged[key] = _merge(old, value)
    return merged


def _assign(data: Json, key: str, value: Any, origin: str) -> None:
    """Set a dotted key in nested data; a background or a template is reached by its name."""
    parts = key.split(".")
    place: Any = data
    for i, part in enumerate(parts[:-1]):
        if isinstance(place, (list, tuple)):
            named = [item for item in place if isinstance(item, dict) and item.get("name") == part]
            if not named:
                names = [str(item.get("name")) for item in place if isinstance(item, dict)]
                raise ExperimentError(f"{origin}: {key}: " + unknown(parts[i - 1], part, names))
            place = named[0]
            continue
        if place.get(part) is None:
            place[part] = {}
        if isinstance(place[part], tuple):
            place[part] = list(place[part])
        place = place[part]
        if not isinstance(place, (dict, list)):
            here = ".".join(parts[: i + 1])
            raise ExperimentError(f"{origin}: {key}: {here} is a value, it has no keys")
    if not isinstance(place, dict):
        raise ExperimentError(f"{origin}: {key}: name a key below it, e.g. {key}.<name>.rate")
    old = place.get(parts[-1])
    if isinstance(old, dict) and isinstance(value, str) and "model" in old:
        value = {"model": value}
    place[parts[-1]] = value
