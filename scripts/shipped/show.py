"""`nuspill show`: an experiment's file, and what can be set."""

from __future__ import annotations

import click

from ..options.output import Output, json_option


@click.command()
@click.argument("name")
@json_option
def command(name: str, output: Output) -> None:
    """Print the TOML file of a shipped experiment, and below it, as comments, every key.

    Copy it to begin your own: nuspill show ess-csi > mine.toml. For a shipped source, such as ess,
    its file and the keys of [source].
    """
    from ...generator.beam import shipped_source_text, shipped_sources
    from ...reco.configuration.explain import describe_keys
    from ...reco.experiment import Experiment, source_text

    is_source = name in shipped_sources()
    text = shipped_source_text(name) if is_source else source_text(name)
    keys = [
        (key, unit, meaning)
        for key, unit, meaning in describe_keys(Experiment)
        if key.startswith("source.") or not is_source
    ]
    output.text(text)
    output.text("# All keys that this file and --set know, with unit and meaning:")
    width = max(len(key) for key, _, _ in keys)
    for key, unit, meaning in keys:
        output.text(f"# {key:<{width}}  {meaning}" + (f" [{unit}]" if unit else ""))
    entries = [dict(zip(("key", "unit", "meaning"), key, strict=True)) for key in keys]
    output.json({"name": name, "toml": text, "keys": entries})
