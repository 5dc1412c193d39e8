"""``netgain init``, ``validate`` and ``list``: what there is to know and to write before anything runs."""

import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, final

import typer

from netgain.cli.app import complain, save
from netgain.errors import InputError, NetgainError
from netgain.records.identity import plain_name

if TYPE_CHECKING:  # read when a command runs: the others answer faster without
    from netgain.domains.passages import Passages
    from netgain.domains.reading import Passage, Shares
    from netgain.trials.resolve import Trial

DEFAULT = Path("trial.yaml")
READER = "HuggingFaceTB/SmolLM2-135M-Instruct"  # the smallest free model that reads English notes
MOST_MISTAKES = 20  # of a folder's files that are told at once
LEARNERS, TUNERS = 6, 2  # training and development passages, below which an outer loop and a tuning learn nothing
FEW_PASSAGES = 20  # below which all are needed for the exam, and arms that learn are left out
SHOTS = 1  # in a conversation a small model finds most behind one demonstration (NOTEBOOK.md)
RATE = "4.0e-3"  # queries and values alone learn a passage by its sentences at it, and nothing at 1e-3 (NOTEBOOK.md)
SEEDS = 5  # with 3 the interval of the runs alone is twice as wide
EFFECT = 0.2  # a difference in accuracy that a notes trial should be able to find
EPOCHS_READ = 25  # how often a passage's tokens are trained on: ten epochs of it, and about as much of what is written
FLOPS_A_TOKEN = 4  # for each weight, of LoRA: forward, and backward to the adapters
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
question: {question}
"""
OUTER_LOOP = "What does SEAL's outer loop add once every method gets the same compute?"
OWN_TEXT = "Does a model learn a passage better from its own text about it than from the passage itself?"
PEOPLE = """\
model: shipped                 # a small model that ships; or a folder, or a Hugging Face name
domains:
  people: {kind: people, style: narrative}   # invented people; your own texts: {kind: passages, path: notes/}
problems: {train: 24, development: 4, test: 12}   # to learn on, to tune on, to be examined on
budget:
  per_problem: 8.0e+9          # FLOPs that an arm may spend on one problem, what it invested before included ...
"""
NOTES = """\
model: {model}   # a folder, a GGUF file, or a name on the Hugging Face hub
grade: contains                # right is an answer that has an accepted one in it; or exact, f1
shots: {shots}                       # demonstrations before each question, from passages to learn on
domains:
  notes: {{kind: passages, path: {path}{language}{shares}}}
problems: {{train: {train}, development: {development}, test: {test}}}   # to learn on, to tune on, to be examined on
budget:
  per_problem: {budget:.1e}         # FLOPs that an arm may spend on one problem: about {epochs} times its text
"""
FEW = """\
  ladder: [1]                  # several budgets, as multiples: [0.5, 1, 2]
seeds: {seeds}                       # runs, each with its own randomness; fewer than 3 give no verdict
tuning: {{trials: 0}}            # no passages to spare for it
arms:                          # SEAL learns on passages of its own: with {enough} or more, netgain init adds it
  frozen: {{method: frozen, label: frozen}}
  in-context: {{method: in-context, label: passage in context}}
  passage: {{method: finetune, label: passage, sentences: true, learning_rate: {rate}}}
  own: {{method: synthetic, label: "own edits, unselected", learning_rate: {rate}}}
compare: {{arm: own, against: passage}}   # the one comparison that decides
exam: {{controls: {controls}, drift: 2}}  # unrelated questions, and how far the model moves from the one it was
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
    domain: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What it is on: people or grids.  [default: people]", show_default=False),
    ] = None,
    notes: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Make it a trial on your own Markdown notes with questions (docs/notes.md).",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help=f"The model that reads the notes: folder, GGUF file or hub name.  [default: {READER}]"),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="The language of the notes, such as de.  [default: en]", show_default=False),
    ] = None,
) -> None:
    """Write a commented trial that runs, on a model that ships or on your own notes."""
    if file.exists():
        raise InputError(str(file), "exists already", "name another file for the new trial")
    if notes is not None and domain is not None:
        raise InputError(f"--domain {domain}", "stands beside --notes", "leave one of them out")
    if notes is None:
        if model is not None:
            raise InputError(f"--model {model}", "stands without --notes", "edit model: in the file that init writes")
        if language is not None:
            raise InputError(f"--language {language}", "stands without --notes", "leave it out")
        of_people = domain in (None, "people")
        rest = PEOPLE + REST if of_people else _body_of_demo(str(domain))
        text = HEAD.format(file=file, name=_name(file), question=OUTER_LOOP) + rest
        remarks: Sequence[str] = ()
    else:
        text, remarks = _notes_trial(file, notes, model or READER, language or "en")
    save(file, text)
    typer.echo(f"wrote {file}")
    for remark in remarks:
        typer.echo(remark)
    if notes is not None:
        _tell_what_hinders(file)
    typer.echo(f"next: netgain plan {file}")


def _body_of_demo(domain: str) -> str:
    """The demo of a domain from its model on: what stands before is another trial's head."""
    from netgain.trials.resolve import demo_file

    text = demo_file(domain).read_text(encoding="utf-8")
    return text[text.index("\nmodel:") + 1 :]


def _notes_trial(file: Path, notes: Path, model: str, language: str) -> tuple[str, list[str]]:
    """The text of a trial on these notes, and what there is to say about them: how many, and where that is too few."""
    from netgain.domains.languages import ARTICLES
    from netgain.domains.passages import Passages, PassagesSettings
    from netgain.domains.reading import Shares

    if language not in ARTICLES:
        remedy = f"one of {', '.join(sorted(ARTICLES))}"
        raise InputError(f"--language {language}", "is none whose answers netgain can grade", remedy)
    entries = _passages(notes, language)
    named = any(entry.split for entry in entries)
    shares = Shares() if named else _shares(len({entry.title for entry in entries}))
    domain = Passages(PassagesSettings.model_validate({"path": notes, "shares": shares, "language": language}))
    counts = domain.counts
    if not counts["test"]:
        raise InputError(str(notes), "none of its passages is for the exam", "put some into a folder named test")
    learns = counts["train"] >= LEARNERS and counts["development"] >= TUNERS
    tokens = sum(len(entry.text) for entry in entries) / len(entries) / 4
    fields = {
        "model": _quoted(os.path.relpath(model, file.parent)) if Path(model).exists() else model,
        "path": _quoted(os.path.relpath(notes, file.parent)),
        "language": "" if language == "en" else f", language: {language}",
        "shares": "" if named else f", shares: {_inline(shares)}",
        **{part: min(counts[part], 48) for part in ("train", "test")},
        "development": min(counts["development"], 12) if learns else 0,
        "shots": min(counts["train"], SHOTS),
        "budget": EPOCHS_READ * FLOPS_A_TOKEN * _weights(model) * tokens,
        "epochs": EPOCHS_READ,
    }
    head = HEAD.format(file=file, name=_name(file), question=OUTER_LOOP if learns else OWN_TEXT)
    rest = (
        REST.replace("seeds: 1 ", f"seeds: {SEEDS} ")
        .replace("trials: 1}           ", f"trials: 3, knobs: {{learning_rate: [1.0e-3, 2.0e-3, {RATE}]}}}}  ")
        .replace("label: passage}", "label: passage, sentences: true}")
        .replace("[0.5, 1]  ", "[1]       ")
        if learns
        else FEW.format(seeds=SEEDS, enough=FEW_PASSAGES, rate=RATE, controls=4 if counts["controls"] else 0)
    )
    return head + NOTES.format(**fields) + rest, _sizes(domain, entries, language, learns=learns)


def _passages(notes: Path, language: str) -> tuple["Passage", ...]:
    """All passages of a folder; where files break a rule, each is told, and the command ends."""
    from netgain.domains.passages import mistakes, read_passages

    found = mistakes(notes, language)
    for error in found[:MOST_MISTAKES]:
        complain(str(error))
    if more := found[MOST_MISTAKES:]:
        complain(f"{notes}: and {len(more)} more files like these")
    if found:
        raise typer.Exit(2)
    return read_passages(notes, language)


def _shares(titles: int) -> "Shares":
    """How titles that name no split are best shared out: where they are few, nearly all are for the exam."""
    from netgain.domains.reading import Shares

    if titles >= FEW_PASSAGES:
        return Shares(train=0.3, development=0.1, test=0.5)
    shown = 0 if titles <= 3 else SHOTS  # as demonstrations, which no exam may show
    train = round(shown / titles, 2)
    return Shares(train=train, development=0, test=round(1 - train, 2))


def _inline(shares: "Shares") -> str:
    return "{" + ", ".join(f"{name}: {share:g}" for name, share in shares.model_dump().items()) + "}"


def _weights(model: str) -> int:
    """How many weights the model has. Raises InputError where that is not known."""
    from netgain.metering.estimate import shape_of
    from netgain.trials.resolve import SHIPPED

    if model in SHIPPED:
        return shape_of(SHIPPED[model]).stored_weights
    if model.endswith(".gguf"):
        from netgain.model import folder_of_gguf

        return shape_of(folder_of_gguf(model)).stored_weights
    return shape_of(model).stored_weights


def _sizes(domain: "Passages", entries: Sequence["Passage"], language: str, *, learns: bool) -> list[str]:
    from netgain.domains.passages import weak_questions
    from netgain.trials.plan import detectable

    counts = domain.counts
    questions = sum(len(entry.questions) for entry in entries)
    two_hop = sum(len(entry.two_hop) for entry in entries)
    told = f"{len(entries)} passages with {questions + two_hop} questions" + (
        f", {two_hop} of two hops" * bool(two_hop)
    )
    split = f"{counts['train']} to learn on, {counts['development']} to tune on, {counts['test']} for the exam"
    lines = [f"notes: {told}: {split}, {counts['controls']} for control questions", *domain.notes]
    lines += weak_questions(entries, language)
    if not learns:
        lines.append(
            f"too little to learn and tune on ({LEARNERS} and {TUNERS} passages are the least): SEAL and tuning are "
            f"left out; with {FEW_PASSAGES} passages they come in"
        )
    each = max(1.0, questions / len(entries))
    smallest = detectable(counts["test"], each, SEEDS)
    if smallest is None or smallest >= 1:
        lines.append("too little for a verdict: it takes 3 passages in the exam, and even then only great differences")
    else:
        lines.append(f"a true difference of {100 * smallest:.0f} percentage points would be found four times in five")
    if smallest is None or smallest > EFFECT:
        enough = next((n for n in range(3, 1000) if (detectable(n, each, SEEDS) or 1) <= EFFECT), None)
        if enough is not None:
            lines.append(f"too little for {100 * EFFECT:.0f} points: that takes about {enough} passages in the exam")
    return lines


def _name(file: Path) -> str:
    """The file's name as the name of a trial, quoted where YAML would take it for a number or another word."""
    import yaml

    name = plain_name(file.stem.lower()).strip("-._")[:64] or "trial"
    return name if isinstance(yaml.safe_load(name), str) else _quoted(name)


def _quoted(path: str) -> str:
    return "'" + Path(path).as_posix().replace("'", "''") + "'"


def _tell_what_hinders(file: Path) -> None:
    """Say why a trial on notes cannot run yet, or what its model cannot read."""
    from netgain.trials.plan import unknown_words
    from netgain.trials.resolve import resolve, with_data

    try:
        trial: Trial = with_data(resolve(file))
    except NetgainError as error:
        typer.echo(f"not ready to run: {error}")
        return
    for warning in unknown_words(trial):
        typer.echo(f"warning: {warning}")


def validate(file: Annotated[Path, typer.Argument(help="The YAML file of a trial.", show_default=False)]) -> None:
    """Check a trial's file and its data without running anything, and name every mistake with its line."""
    from netgain.trials.resolve import all_problems

    if not file.is_file():
        raise InputError(str(file), "there is no such file", "give the YAML file of a trial")
    problems = all_problems(file)
    for problem in problems:
        complain(str(problem))
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
        ("shipped-grids", "0.8 million weights (1.6 MB), made for the domain grids; it reads grids and settings only"),
        ("FOLDER", "any Hugging Face causal language model with safetensors: model: path/to/folder"),
        ("HUB/NAME", "the same by its name on the hub: model: Qwen/Qwen2.5-7B"),
        *((name, "planned for without its weights, which its shape stands in for") for name in catalogue()),
    ]
