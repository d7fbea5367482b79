"""`nuspill formats`: which formats there are, and what each can do."""

from __future__ import annotations

import click

from ..common import json_option, print_table, write_json


@click.command()
@json_option
def command(json_file: str | None) -> None:
    """List the formats that events are exported to and imported from."""
    from ...reco.formats.shared.door import described

    found = described()
    quiet = json_file == "-"
    rows = [
        [
            row["name"],
            ", ".join(ability for ability in ("export", "import") if row[ability]),
            f"nuspill[{row['extra']}]" if row["extra"] else "-",
            "no" if row["missing"] else "yes",
            row["description"],
        ]
        for row in found
    ]
    print_table("Formats", ["format", "can", "needs", "installed", ""], rows, quiet)
    if not quiet:
        for row in found:
            click.echo(f"\n{row['name']} keeps {row['keeps']}; loses {row['loses']}.")
    write_json(json_file, {"formats": found})
