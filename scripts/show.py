"""`nuspill show`: an experiment's file, and what can be set."""

from __future__ import annotations

import click

from ..reco.experiment import describe_keys, source_text
from .common import print_table, write_json


@click.command()
@click.argument("name")
@click.option("--keys", is_flag=True, help="Also list every key with unit and meaning.")
@click.option(
    "--json",
    "json_file",
    metavar="FILE",
    help="Write text and keys to FILE; - for standard output.",
)
def command(name: str, keys: bool, json_file: str | None) -> None:
    """Print the TOML file of a shipped experiment: copy it to begin your own."""
    text = source_text(name)
    rows = describe_keys()
    if json_file != "-":
        click.echo(text, nl=False)
    if keys:
        print_table("\nKeys", ["key", "unit", "meaning"], rows, json_file == "-")
    content = [{"key": key, "unit": unit, "meaning": meaning} for key, unit, meaning in rows]
    write_json(json_file, {"name": name, "toml": text, "keys": content})
