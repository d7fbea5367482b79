"""`nuspill formats`: which formats there are, and what each can do."""

from __future__ import annotations

import click

from ..options.output import Output, json_option


@click.command()
@json_option
def command(output: Output) -> None:
    """List the formats that events are exported to and imported from."""
    from ...reco.formats.shared.door import described

    formats = described()
    rows = [
        [
            form.name,
            ", ".join(["export"] * form.exported + ["import"] * form.imported),
            f"nuspill[{form.extra}]" if form.extra else "-",
            "no" if form.missing else "yes",
            form.description,
        ]
        for form in formats
    ]
    output.table("Formats", ["format", "can", "needs", "installed", ""], rows)
    for form in formats:
        output.text(f"\n{form.name} keeps {form.keeps}; loses {form.loses}.")
    output.json({"formats": [form.as_json() for form in formats]})
