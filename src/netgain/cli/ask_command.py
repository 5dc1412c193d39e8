"""``netgain ask``: one problem as every arm of a trial sees it, before anything is spent."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from netgain.cli.app import Device, Methods, Settings, TrialFile, Trust


class ProblemSplit(StrEnum):
    """Where the problem is from; the exam's own questions are best left unseen while wording is tried out."""

    train = "train"
    development = "development"
    test = "test"


def ask(
    trial: TrialFile = None,
    problem: Annotated[int, typer.Option(min=1, metavar="N", help="Which problem of the split, from 1.")] = 1,
    split: Annotated[ProblemSplit, typer.Option(help="Which split it is from.")] = ProblemSplit.development,
    domain: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which domain (default: the first).", show_default=False)
    ] = None,
    no_model: Annotated[bool, typer.Option("--no-model", help="Show prompts only; no model is loaded.")] = False,
    method: Methods = None,
    settings: Settings = None,
    device: Device = "auto",
    trust_remote_code: Trust = False,
) -> None:
    """Show one problem as every arm sees it: each way of asking in full, the model's answers, gold answers, grades.

    Nothing is spent, and nothing of it is in a record.
    """
    from netgain.domains.problem import in_turns
    from netgain.trials.executor import load_model
    from netgain.trials.preview import Preview
    from netgain.trials.resolve import DEMOS, demo_file, resolve

    source = demo_file(domain) if trial is None and domain in DEMOS else trial
    name = domain if source is trial else None
    resolved = resolve(source, method or [], settings or [], trust_remote_code=trust_remote_code)
    preview = Preview(resolved, problem, split.value, name)
    spec, prompts = preview.trial.spec, preview.prompts
    way = "in a conversation, by the model's chat template" if prompts.chat else "by a text that it continues"
    typer.echo(
        f"{spec.name}: {split.value} problem {problem} of {preview.name}: {_plain(preview.problem.material.title)}"
    )
    typer.echo(f"{spec.model} is asked {way}; shots: {spec.shots}; cut: {prompts.cut}; prompts {prompts.version}")
    model = None if no_model else load_model(preview.trial, device)
    for asked in preview.ways:
        said = None if model is None else preview.answered(model, asked)
        typer.echo(f"\n== {asked.name} ({', '.join(asked.arms)})\n")
        typer.echo(_plain(in_turns(asked.prompts[0]) if said is None else said[0].shown))
        if asked.views:
            views = ", ".join(f"{name or 'as it stands'} {count}" for name, count in asked.views.items())
            typer.echo(f"-- each question is put in {sum(asked.views.values())} views: {views}")
        for number, question in enumerate(asked.questions):
            head = asked.inputs[number] if asked.inputs else question.text.splitlines()[-1]
            typer.echo(f"\n-- {_block(head)}")
            typer.echo(f"   gold: {_block(' | '.join(question.answers))}")
            if said is not None:
                _tell_answer(said[number])
        if said is not None and not asked.questions:
            typer.echo(f"\n-- written, {_sizes(said[0])}; {len(said[0].texts)} training texts come of it\n")
            typer.echo(_plain(said[0].text))


def _tell_answer(said: Any) -> None:
    grades = [f"{name} {_shown(value)}" for name, value in said.grade.items() if not isinstance(value, str | None)]
    for number, answer in enumerate(said.attempts or [said.text], start=1):
        typer.echo(f"   {f'attempt {number}' if said.attempts else 'answer'}: {_block(answer) or '(empty)'}")
    typer.echo(f"   {', '.join(grades)}; {_sizes(said)}")


def _shown(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else f"{value:.2f}"


def _sizes(said: Any) -> str:
    return f"{said.tokens[0]} tokens asked, {said.tokens[1]} said (ended by {said.finish})"


def _block(text: str) -> str:
    """A line as it is; several below each other, each a little to the right."""
    lines = _plain(text).split("\n")
    return lines[0] if len(lines) == 1 else "".join(f"\n     {line}" for line in lines)


def _plain(text: str) -> str:
    """Outside text with its lines and without other control characters, which a terminal would obey."""
    from netgain.report.numbers import clean

    return "\n".join(clean(line) for line in text.split("\n"))
