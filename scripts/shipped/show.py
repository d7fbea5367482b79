"""`nuspill show`: an experiment's file, and what can be set."""

from __future__ import annotations

import click

from ...generator.beam import shipped_source_text, shipped_sources
from ...reco.experiment import Experiment, source_text
from ...reco.explain import describe_keys
from ..common import json_option, write_json


@click.command()
@click.argument("name")
@json_option
def command(name: str, json_file: str | None) -> None:
    """Print the TOML file of a shipped experiment, and below it, as comments, every key.

    Copy it to begin your own: nuspill show ess-csi > mine.toml. For a shipped source, such as ess,
    its file and the keys of [source].
    """
    is_source = name in shipped_sources()
    text = shipped_source_text(name) if is_source else source_text(name)
    keys = [
        {"key": key, "unit": unit, "meaning": meaning}
        for key, unit, meaning in describe_keys(Experiment)
        if key.startswith("source.") or not is_source
    ]
    if json_file != "-":
        click.echo(text)
        click.echo("# All keys that this file and --set know, with unit and meaning:")
        width = max(len(k["key"]) for k in keys)
        for k in keys:
            unit = f" [{k['unit']}]" if k["unit"] else ""
            click.echo(f"# {k['key']:<{width}}  {k['meaning']}{unit}")
    write_json(json_file, {"name": name, "toml": text, "keys": keys})
