"""`nuspill formats`: which formats there are, and what each can do."""

from __future__ import annotations

import click

from ..options.output import Output, json_option


@click.command()
@json_option
def command(output: Output) -> None:
    """List the formats that events are exported to and imported from."""
    from ...reco.formats.shared.door import described

    found = described()
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
    output.table("Formats", ["format", "can", "needs", "installed", ""], rows)
    for row in found:
        output.text(f"\n{row['name']} keeps {row['keeps']}; loses {row['loses']}.")
    output.json({"formats": found})
