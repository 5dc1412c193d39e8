"""``netgain doctor``: what this machine has, and what would refuse to run."""

import json
from pathlib import Path
from typing import Annotated

import typer


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Compare versions with the tested ones, check the prices, and show threads, kernels, GPU, disk and extras.

    Ends with code 1 if something would refuse to run.
    """
    from netgain.doctor import examine

    found = examine(Path.cwd())
    typer.echo(json.dumps(found.data(), indent=1) if as_json else found.text())
    if found.refusals:
        raise typer.Exit(1)
