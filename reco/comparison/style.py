"""How plots look: labels of quantities, the style of matplotlib, and colours of components."""

from __future__ import annotations

LABELS = {
    "numu": r"$\nu_\mu$", "nue": r"$\nu_e$", "numubar": r"$\bar\nu_\mu$",
    "nuebar": r"$\bar\nu_e$", "nutau": r"$\nu_\tau$", "nutaubar": r"$\bar\nu_\tau$",
    "keV_nr": r"keV$_\mathrm{nr}$", "keV_ee": r"keV$_\mathrm{ee}$",
}  # fmt: skip

COLOURS = {1: "#3f90da", 2: "#e76300", 3: "#bd1f01", 4: "#832db6", 5: "#a96b59", 6: "#b9ac70"}

BACKGROUND_COLOURS = ("#717581", "#2a9d5c", "#c849a9", "#86c8dd", "#94a4a2")

STYLE = {
    "font.family": "STIXGeneral", "mathtext.fontset": "stix", "font.size": 13,
    "axes.labelsize": 14, "xaxis.labellocation": "right", "yaxis.labellocation": "top",
    "xtick.direction": "in", "ytick.direction": "in", "xtick.top": True, "ytick.right": True,
    "xtick.minor.visible": True, "ytick.minor.visible": True,
    "xtick.major.size": 6, "ytick.major.size": 6, "xtick.minor.size": 3, "ytick.minor.size": 3,
    "legend.frameon": False, "legend.fontsize": 12, "legend.handlelength": 1.6,
    "savefig.dpi": 150, "pdf.fonttype": 42, "svg.hashsalt": "nuspill",
}  # fmt: skip
