"""``netgain init``, ``validate`` and ``list``: what there is to know and to write before anything runs."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, final

import typer

from netgain.cli.app import save
from netgain.errors import InputError, NetgainError

DEFAULT = Path("trial.yaml")
FEW = 10  # test problems, below which hardly any difference can be told from none
HEAD = """\
# A trial of netgain: every arm gets the same compute, and one comparison, fixed beforehand, decides.
#
#   netgain validate {file}         everything that is wrong with this file
#   netgain plan {file}             what it takes, and the smallest effect that it could see
#   netgain run {file} --limit 2    a try on two test problems
#   netgain run {file}              the trial; run it again to go on
#
# netgain list methods|domains|models says what else can be named here.
name: {name}
question: What does SEAL's outer loop add once every method gets the same compute?
"""
PEOPLE = """\
model: shipped                 # a small model that ships; or a folder, or a Hugging Face name
domains:
  people: {kind: people, style: narrative}   # invented people; your own texts: {kind: passages, path: notes/}
problems: {train: 24, development: 4, test: 12}   # to learn on, to tune on, to be examined on
budget:
  per_problem: 8.0e+9          # FLOPs that an arm may spend on one problem, what it invested before included ...
"""
NOTES = """\
model: shipped                 # it knows invented people only: name a model that can read your notes, such as
                               # Qwen/Qwen2.5-0.5B, and give it a budget of its size (about 1.0e+13 FLOPs)
domains:
  notes: {{kind: passages, path: {path}}}   # each passage is a problem; how many there are of each split decides
                               # how many are used (a folder train, development or test names the split)
budget:
  per_problem: 8.0e+9          # FLOPs that an arm may spend on one problem, what it invested before included ...
"""
REST = """\
  ladder: [0.5, 1]             # ... times each budget level; arms are compared at level 1
  deployments: 48              # an investment (SEAL's outer loop) is shared by so many problems
seeds: 1                       # a result needs 3 or more
tuning: {trials: 1}            # settings that every arm may try on development problems, charged
arms:                          # each has settings of its own: docs/methods.md
  frozen: {method: frozen, label: frozen}
  in-context: {method: in-context, label: passage in context}
  passage: {method: finetune, label: passage}
  own: {method: synthetic, label: "own edits, unselected"}
  seal: {method: seal, label: SEAL, rounds: 1, candidates: 3, repeats: 1}
compare: {arm: seal}           # against the best conventional arm, chosen on development problems
exam: {controls: 4, drift: 2}  # unrelated questions, and how far the model moves from the one it was
"""


def init(
    file: Annotated[Path, typer.Argument(help="The file to write.")] = DEFAULT,
    notes: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Make it a trial on your own Markdown notes with questions (docs/domains.md).",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a commented trial that runs, on the model that ships or on your own notes."""
    if file.exists():
        raise InputError(str(file), "exists already", "name another file for the new trial")
    if notes is not None:
        from netgain.domains.passages import Passages, PassagesSettings

        Passages(PassagesSettings(path=notes))  # says what cannot be read before a file is written
    middle = PEOPLE if notes is None else NOTES.format(path=_quoted(os.path.relpath(notes, file.parent)))
    save(file, HEAD.format(file=file, name=_name(file)) + middle + REST)
    typer.echo(f"wrote {file}")
    if notes is not None:
        _tell_size(file)
    typer.echo(f"next: netgain plan {file}")


def _name(file: Path) -> str:
    """The file's name as the name of a trial."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "_.-") else "-" for c in file.stem.lower())
    return plain.strip("-._")[:64] or "trial"


def _quoted(path: str) -> str:
    return "'" + Path(path).as_posix().replace("'", "''") + "'"


def _tell_size(file: Path) -> None:
    """Say how many problems the notes make, and where that is too little."""
    from netgain.trials.resolve import resolve, with_data

    try:
        trial = with_data(resolve(file))
    except NetgainError as error:
        typer.echo(f"too little to run yet: {error}")
        return
    counts: Any = trial.spec.problems
    typer.echo(f"notes: {counts.train} to learn on, {counts.development} to tune on, {counts.test} for the exam")
    for note in (note for domain in trial.domains.values() for note in domain.notes):
        typer.echo(note)
    if counts.test < FEW:
        typer.echo(
            f"too little for a result: with fewer than {FEW} passages in the exam only large effects can be seen"
        )


def validate(file: Annotated[Path, typer.Argument(help="The YAML file of a trial.", show_default=False)]) -> None:
    """Check a trial's file and its data without running anything, and name every mistake with its line."""
    from netgain.trials.resolve import all_problems

    if not file.is_file():
        raise InputError(str(file), "there is no such file", "give the YAML file of a trial")
    problems = all_problems(file)
    for problem in problems:
        typer.echo(f"netgain: {problem}", err=True)
    if problems:
        raise typer.Exit(2)
    typer.echo(f"{file}: valid; netgain plan {file} says what it takes")


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
    shipped = (
        f"{weights:.1f} million weights ({size:.1f} MB), made for the domain people, whose words are all it can read; "
        "what a trial uses by itself"
    )
    return [
        ("shipped", shipped),
        ("shipped-faithful", "its twin: the same corpus, but no writer in it ever made a mistake"),
        ("FOLDER", "any Hugging Face causal language model with safetensors: model: path/to/folder"),
        ("HUB/NAME", "the same by its name on the hub: model: Qwen/Qwen2.5-7B"),
        *((name, "planned for without its weights, which its shape stands in for") for name in catalogue()),
    ]
