"""``netgain list``: what can be named in a trial or on the command line, a line each."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, final

import typer


@final
class What(StrEnum):
    """What can be listed."""

    METHODS = "methods"
    DOMAINS = "domains"
    MODELS = "models"
    FORMATS = "formats"


def list_names(what: Annotated[What, typer.Argument(help="What to list.", show_default=False)]) -> None:
    """List methods, domains, models or formats of published results, a line each."""
    rows = _models() if what is What.MODELS else _extensions(what)
    width = max(len(name) for name, _ in rows)
    for name, line in rows:
        typer.echo(f"{name:<{width}}  {line}")


def _extensions(what: What) -> list[tuple[str, str]]:
    from netgain.extensions import Kind, listing

    kinds: dict[What, tuple[Kind, str]] = {
        What.METHODS: ("method", "a method of your own (docs/methods.md)"),
        What.DOMAINS: ("domain", "a domain of your own (docs/domains.md)"),
        What.FORMATS: ("reader", "a reader of your own for another layout (docs/readers.md)"),
    }
    kind, own = kinds[what]
    cards = [("CARD.yaml", "a claim card, written by hand: netgain audit --new-card"), ("CLAIM.json", "a saved claim")]
    return [*listing(kind), *(cards if what is What.FORMATS else []), ("FILE.py:CLASS", own)]


def _models() -> list[tuple[str, str]]:
    """The model that ships, and what else may stand in ``model:``."""
    from netgain.metering.estimate import shape_of
    from netgain.metering.shape import catalogue

    folder = Path(__file__).parents[1] / "shipped" / "people"
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors")) / 1e6
    weights = shape_of(folder).stored_weights / 1e6
    shipped = f"{weights:.1f} million weights ({size:.1f} MB), made for the domain people; what a trial uses by itself"
    return [
        ("shipped", shipped),
        ("FOLDER", "any Hugging Face causal language model with safetensors: model: path/to/folder"),
        ("HUB/NAME", "the same by its name on the hub: model: Qwen/Qwen2.5-7B"),
        *((name, "planned for without its weights, which its shape stands in for") for name in catalogue()),
    ]
