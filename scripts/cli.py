"""The command `nuspill`. Commands are imported when they are called."""

from __future__ import annotations

import importlib
import keyword
import sys
from importlib.metadata import version

import click

COMMANDS = {
    "benchmark": "Speed beside a plain NumPy chain, the bare limit and bare uproot.",
    "compare": "Two samples side by side: counts, spectra, chi2 and KS, as a page.",
    "export": "Write an ntuple in the format of a detector's data acquisition.",
    "experiments": "List the experiments and sources that come with nuspill.",
    "formats": "List the formats of export and import.",
    "generate": "Make the events of an experiment and write a ROOT ntuple.",
    "import": "Read a file of a data acquisition or a data release into an ntuple.",
    "plot": "Plot an ntuple: spectra, on minus off, time in the pulse.",
    "rates": "Expected events a year of operation, by quadrature.",
    "show": "Print an experiment's TOML, and every key with unit and meaning.",
}


class Commands(click.Group):
    """Commands by name, each in the module of its name (`import_` for a word of Python)."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Names of the commands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        name = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        module = importlib.import_module(f".{name}", __package__)
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("nuspill"), prog_name="nuspill")
def nuspill() -> None:
    """Coherent elastic neutrino-nucleus scattering at pulsed sources: events for your detector."""


def main() -> None:
    """Run the command line; every mistake of the user is one line and exit status 2."""
    from ..reco.errors import ExperimentError, OutputError

    try:
        with nuspill.make_context("nuspill", sys.argv[1:]) as context:
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


def _fail(message: str) -> None:
    click.echo("nuspill: " + " ".join(message.split()), err=True)
    sys.exit(2)
