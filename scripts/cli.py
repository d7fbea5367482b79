"""The command `nuspill`. Commands are imported when they are called."""

from __future__ import annotations

import os
import sys
import warnings
from typing import TextIO

import click
from click.shell_completion import shell_complete

from .lazy import LazyGroup

COMMANDS = {
    "asimov": ("statistics.asimov", "Sensitivities and allowed regions from the expected counts."),
    "benchmark": ("benchmarks.benchmark", "Speed beside peers and beside the hardware's limit."),
    "compare": (
        "events.compare",
        "Two samples side by side: counts, spectra, chi2 and KS, as a page.",
    ),
    "coverage": ("statistics.coverage", "How often confidence regions hold the truth."),
    "experiments": (
        "shipped.experiments",
        "List the experiments and sources that come with nuspill.",
    ),
    "export": ("events.export", "Write an ntuple in the format of a detector's data acquisition."),
    "export-workspace": (
        "statistics.export_workspace",
        "The signal strength of experiments as a HistFactory workspace (pyhf).",
    ),
    "fit": (
        "statistics.fit",
        "Best values, intervals, pulls and quality of the fit to observed counts.",
    ),
    "formats": ("shipped.formats", "List the formats of export and import."),
    "generate": ("events.generate", "Make the events of an experiment and write a ROOT ntuple."),
    "import": (
        "events.import_",
        "Read a file of a data acquisition or a data release into an ntuple.",
    ),
    "merge": ("runs.merge", "Join the toys of separate runs, or the parts of events."),
    "plot": ("events.plot", "Plot an ntuple: spectra, on minus off, time in the pulse."),
    "rates": ("events.rates", "Expected events a year of operation, by quadrature."),
    "reproduce": (
        "statistics.reproduce",
        "The results of arXiv:1911.00762, and of measurements, beside their numbers.",
    ),
    "resume": ("runs.resume", "Go on with a run from its folder, here or on a cluster."),
    "show": ("shipped.show", "Print an experiment's TOML, and every key with unit and meaning."),
    "status": ("runs.status", "How far a run is, and what is done of it."),
    "toys": ("statistics.toys", "Confidence regions by toys: Feldman-Cousins and others."),
    "verify": ("runs.verify", "Checksums of a run's files, and some blocks made again."),
}
"""Module and one line of help of each command."""
COMPLETE = "_NUSPILL_COMPLETE"
"""Environment variable by which a shell asks for its completion script, or for completions."""


@click.command(
    cls=LazyGroup, modules=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="nuspill", prog_name="nuspill")
def nuspill() -> None:
    """Coherent elastic neutrino-nucleus scattering at pulsed sources, from events to regions."""


def main() -> None:
    """Run the command line; every mistake of the user is one line and exit status 2."""
    from ..reco.errors import ExperimentError, Notice, OutputError

    if instruction := os.environ.get(COMPLETE):
        sys.exit(shell_complete(nuspill, {}, "nuspill", COMPLETE, instruction))
    try:
        with (
            warnings.catch_warnings(action="once", category=Notice),
            nuspill.make_context("nuspill", sys.argv[1:]) as context,
        ):
            warnings.showwarning = _show
            nuspill.invoke(context)
        sys.exit(0)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        _fail(error.format_message())
    except (ExperimentError, OutputError) as error:
        _fail(str(error))
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted")
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)


def _show(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Write a warning; a notice as one line."""
    from ..reco.errors import Notice

    text = f"nuspill: note: {message}"
    if not issubclass(category, Notice):
        text = warnings.formatwarning(message, category, filename, lineno, line).rstrip()
    click.echo(text, err=True, file=file)


def _fail(message: str) -> None:
    click.echo("nuspill: " + " ".join(message.split()), err=True)
    sys.exit(2)
