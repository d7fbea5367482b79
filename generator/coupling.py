"""Couplings of neutrinos to protons and neutrons: Standard Model and beyond.

arXiv:1911.00762, with its misprints mended: g_Vp = 1/2 − 2 sin²θ_W in (4.1), and the quark
content of the proton, 2u + d, also in the flavour-changing term of (4.7). Charge radii (4.12, 4.13)
act on protons, g_Vp → g_Vp − (2/3) m_W² sin²θ_W ⟨r²⟩. Magnetic moments are in `cross_section`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, PositiveFloat, field_validator, model_validator

from . import form_factor
from .constants import CM2_MEV2, SIN2_THETA_W, W_MASS
from .form_factor import FormFactorTable
from .settings import Settings, setting

LEPTON: dict[str, str] = {
    "numu": "mu",
    "nue": "e",
    "numubar": "mu",
    "nuebar": "e",
    "nutau": "tau",
    "nutaubar": "tau",
}
"""Lepton flavour of each neutrino."""
PDG: dict[str, int] = {
    "numu": 14,
    "nue": 12,
    "numubar": -14,
    "nuebar": -12,
    "nutau": 16,
    "nutaubar": -16,
}
"""PDG code of each neutrino."""

RADIATIVE_NEUTRON = -0.5117
RADIATIVE_PROTON = {"e": 0.0381, "mu": 0.0298, "tau": 0.0254}
"""g_Vn and g_Vp with radiative corrections (PDG review of neutrino-nucleus couplings; see
Cadeddu et al., PRD 102 (2020) 015030), at sin²θ_W = SIN2_THETA_W.

Another sin²θ_W shifts g_Vp by 2 (SIN2_THETA_W − sin²θ_W), as in fits of it to data (Atzori
Corona et al., arXiv:2303.09360).
"""

CHARGE_RADIUS_UNIT = 1e-32
"""Charge radii are given in 1e-32 cm²."""


def coupling(
    default: Any,
    description: str,
    unit: str = "",
    label: str = "",
    lower: float = -math.inf,
    upper: float = math.inf,
    **limits: Any,
) -> Any:
    """Field of an interaction that is a coupling, or a section or choice of couplings.

    Parameters
    ----------
    default, description, unit, limits
        Arguments of `setting`; a unit holds for the couplings of a section too.
    label
        Label in plots. That of a section holds ``{}`` in the place of its couplings' own labels.
    lower, upper
        Bounds in a fit.
    """
    extra: dict[str, Any] = {"unit": unit, "label": label, "lower": lower, "upper": upper}
    return Field(
        default, description=description, json_schema_extra=extra | {"coupling": True}, **limits
    )


@dataclass(frozen=True)
class Coupling:
    """A coupling of an interaction, or a choice that decides them, e.g. tree or radiative."""

    name: str
    """Key below `interaction` of an experiment, e.g. ``nsi.u.ee``."""
    value: Any
    """A number, or the text of a choice."""
    unit: str
    label: str
    """Label in plots; by default the last part of the name."""
    lower: float
    upper: float
    """Bounds in a fit."""

    @property
    def is_number(self) -> bool:
        """Whether it can be fitted; a choice cannot."""
        return not isinstance(self.value, str)


class Matrix(Settings):
    """Real symmetric matrix in flavour space."""

    ee: float = coupling(0.0, "electron, diagonal", label="ee")
    mumu: float = coupling(0.0, "muon, diagonal", label=r"\mu\mu")
    tautau: float = coupling(0.0, "tau, diagonal", label=r"\tau\tau")
    emu: float = coupling(0.0, "electron-muon", label=r"e\mu")
    etau: float = coupling(0.0, "electron-tau", label=r"e\tau")
    mutau: float = coupling(0.0, "muon-tau", label=r"\mu\tau")

    def diagonal(self, lepton: str) -> float:
        """Diagonal entry of a lepton flavour."""
        return {"e": self.ee, "mu": self.mumu, "tau": self.tautau}[lepton]

    def off_diagonal(self, lepton: str) -> tuple[float, float]:
        """The two transitions of a lepton flavour, in a fixed order."""
        return {
            "e": (self.emu, self.etau),
            "mu": (self.emu, self.mutau),
            "tau": (self.etau, self.mutau),
        }[lepton]


class Nsi(Settings):
    """Non-standard vector interactions ε^{u,V} and ε^{d,V}, eq. (4.7)."""

    u: Matrix = coupling(Matrix(), "with up quarks", label=r"$\epsilon^{{u,V}}_{{{}}}$")
    d: Matrix = coupling(Matrix(), "with down quarks", label=r"$\epsilon^{{d,V}}_{{{}}}$")

    def of(self, lepton: str) -> tuple[tuple[float, float], ...]:
        """ε^u and ε^d of a lepton flavour: diagonal, then of its two transitions."""
        u, d = self.u, self.d
        changing = zip(u.off_diagonal(lepton), d.off_diagonal(lepton), strict=True)
        return ((u.diagonal(lepton), d.diagonal(lepton)), *changing)


class Moment(Settings):
    """Effective magnetic moments, in 1e-10 Bohr magnetons, eq. (4.14)."""

    numu: float = coupling(
        0.0, "of muon neutrinos and antineutrinos", "1e-10 mu_B", r"\nu_\mu", lower=0.0
    )
    nue: float = coupling(
        0.0, "of electron neutrinos and antineutrinos", "1e-10 mu_B", r"\nu_e", lower=0.0
    )
    nutau: float = coupling(
        0.0, "of tau neutrinos and antineutrinos", "1e-10 mu_B", r"\nu_\tau", lower=0.0
    )

    def of(self, lepton: str) -> float:
        """Moment of a lepton flavour, 1e-10 μ_B."""
        return {"e": self.nue, "mu": self.numu, "tau": self.nutau}[lepton]


class Interaction(Settings):
    """How neutrinos interact: couplings, form factor, optional terms."""

    couplings: Literal["tree", "radiative"] = coupling(
        "tree", "vector couplings at tree level, or with radiative corrections a flavour"
    )
    sin2w: float = coupling(
        SIN2_THETA_W, "sin²θ_W at low energy", "", r"$\sin^2\theta_W$", 0.0, 1.0, ge=0, le=1
    )
    form_factor: str | FormFactorTable = setting(
        "helm", "helm, klein-nystrand, fermi, unity, or a table file (q 1/fm, F)"
    )
    neutron_radius: PositiveFloat | dict[str, PositiveFloat] | None = setting(
        None,
        "rms radius of the neutrons, or one by element or nucleus ({Cs = 5.09, I = 5.03}); by "
        "default that of the form factor for A",
        "fm",
    )
    proton_radius: PositiveFloat | dict[str, PositiveFloat] | None = setting(
        None, "rms radius of the protons, or by element; by default that of the neutrons", "fm"
    )
    axial: bool = setting(False, "add the axial current of the unpaired nucleon")
    kinematic_terms: bool = setting(False, "add −2T/E + T²/E² to (4.1)")
    moment_form_factor: bool = setting(True, "form factor in the magnetic term, else one")
    nsi: Nsi = coupling(Nsi(), "non-standard interactions", label="{}")
    radius: Matrix = coupling(
        Matrix(),
        "neutrino charge radii",
        "1e-32 cm²",
        r"$\langle r^2_{{{}}}\rangle$ [$10^{{-32}}$ cm$^2$]",
    )
    moment: Moment = coupling(
        Moment(), "neutrino magnetic moments", "1e-10 mu_B", r"$\mu_{{{}}}$ [$10^{{-10}}\mu_B$]"
    )

    def all_couplings(self) -> Iterator[Coupling]:
        """Every coupling, and every choice that decides them, in the order of the fields.

        They are the fields made by `coupling`, of subclasses too.
        """
        return _couplings_of(self, "", "", "{}")

    @field_validator("form_factor")
    @classmethod
    def _known_form_factor(cls, choice: str | FormFactorTable) -> str | FormFactorTable:
        form_factor.model(choice)
        return choice

    @model_validator(mode="after")
    def _possible_radii(self) -> Self:
        shape = form_factor.model(self.form_factor)
        for radius in (self.neutron_radius, self.proton_radius):
            for each in radius.values() if isinstance(radius, dict) else [radius]:
                shape(np.zeros(1), 1.0, each)
        return self

    def radii(self, nucleus: str) -> tuple[float | None, float | None]:
        """Rms radii in fm of neutrons and protons of a nucleus, e.g. ``Cs133``, where given."""
        neutrons = _radius_of(self.neutron_radius, nucleus)
        return neutrons, _radius_of(self.proton_radius, nucleus) or neutrons

    def unknown_radii(self, nuclei: Iterable[str]) -> list[str]:
        """Keys of radii that are neither one of these nuclei nor an element of theirs."""
        known = {name for nucleus in nuclei for name in (nucleus, element_of(nucleus))}
        return [
            f"{key}.{name}"
            for key in ("neutron_radius", "proton_radius")
            for name in (getattr(self, key) if isinstance(getattr(self, key), dict) else ())
            if name not in known
        ]


def element_of(nucleus: str) -> str:
    """Symbol of the element of a nucleus: Cs of ``Cs133``."""
    return nucleus.rstrip("0123456789")


def _radius_of(radius: float | dict[str, float] | None, nucleus: str) -> float | None:
    """The radius of a nucleus: its own, or its element's, or that of all."""
    if isinstance(radius, dict):
        return radius.get(nucleus, radius.get(element_of(nucleus)))
    return radius


def _couplings_of(section: Settings, prefix: str, unit: str, pattern: str) -> Iterator[Coupling]:
    """Couplings of a section: those it has itself, and those of its sections."""
    for name, field in type(section).model_fields.items():
        extra = field.json_schema_extra
        if not isinstance(extra, dict) or not extra.get("coupling"):
            continue
        marks: dict[str, Any] = dict(extra)
        value, own = getattr(section, name), marks["unit"] or unit
        if "{}" in marks["label"]:  # a section
            label = pattern.format(marks["label"])
            yield from _couplings_of(value, f"{prefix}{name}.", own, label)
        else:
            label = pattern.format(marks["label"] or name)
            yield Coupling(prefix + name, value, own, label, marks["lower"], marks["upper"])


@dataclass(frozen=True)
class VectorCoupling:
    """Couplings to a proton and to a neutron in one transition ν_α → ν_β."""

    proton: float
    neutron: float


def charge_radius_coupling(radius: float, sin2w: float) -> float:
    """Q = (2/3) m_W² sin²θ_W ⟨r²⟩ for a radius in 1e-32 cm²: 0.0264 a unit (4.13)."""
    return 2 / 3 * (W_MASS**2 * CHARGE_RADIUS_UNIT / CM2_MEV2) * sin2w * radius


def vector_couplings(interaction: Interaction, flavour: str) -> tuple[VectorCoupling, ...]:
    """Couplings of a flavour: first the diagonal one, then the two flavour-changing ones.

    The weak charge squared is 4 Σ_β |Z g_p + N g_n|² over them, eq. (4.7) and (4.12).
    """
    lepton = LEPTON[flavour]
    if interaction.couplings == "tree":
        proton, neutron = 0.5 - 2 * interaction.sin2w, -0.5
    else:
        shift = 2 * (SIN2_THETA_W - interaction.sin2w)
        proton, neutron = RADIATIVE_PROTON[lepton] + shift, RADIATIVE_NEUTRON
    radius = interaction.radius
    (u, d), *transitions = interaction.nsi.of(lepton)
    q = charge_radius_coupling(radius.diagonal(lepton), interaction.sin2w)
    diagonal = VectorCoupling(proton + 2 * u + d - q, neutron + u + 2 * d)
    changing = tuple(
        VectorCoupling(
            2 * u_ab + d_ab - charge_radius_coupling(r_ab, interaction.sin2w), u_ab + 2 * d_ab
        )
        for (u_ab, d_ab), r_ab in zip(transitions, radius.off_diagonal(lepton), strict=True)
    )
    return (diagonal, *changing)


def structure_couplings(interaction: Interaction, flavour: str) -> dict[str, float]:
    """What multiplies each structure of `cross_section.structure_factors`.

    With g_p and g_n the couplings of a transition: ``pp`` Σ g_p², ``pn`` 2 Σ g_p g_n, ``nn``
    Σ g_n²; ``ap`` and ``an`` the diagonal g_p and g_n, ``aa`` 1; ``moment`` (μ/1e-10 μ_B)².
    Sums, products and numbers only, so that a polynomial may stand in the place of a coupling.
    """
    diagonal, *changing = vector_couplings(interaction, flavour)
    moment = interaction.moment.of(LEPTON[flavour])
    pp, pn, nn = diagonal.proton**2, 2 * diagonal.proton * diagonal.neutron, diagonal.neutron**2
    for g in changing:
        pp += g.proton**2
        pn += 2 * g.proton * g.neutron
        nn += g.neutron**2
    return {
        "pp": pp, "pn": pn, "nn": nn,
        "ap": diagonal.proton, "an": diagonal.neutron, "aa": 1.0,
        "moment": moment**2,
    }  # fmt: skip
