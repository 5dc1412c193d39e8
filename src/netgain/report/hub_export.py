"""A trial for the Hugging Face hub and for Every Eval Ever's single samples: a section of a model card, entries of
``.eval_results``, and a line for each answer. Nothing is uploaded.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from netgain.analysis.verdict import ArmRow, Verdict
from netgain.errors import InputError, nearest
from netgain.records.provenance import ExaminedProblem
from netgain.records.samples import GradedAnswer
from netgain.report.exports import SCHEMA_VERSION, compute_card_markdown, markdown
from netgain.report.listings import accuracies
from netgain.report.numbers import clean
from netgain.report.summary import plain, subjects
from netgain.trials.outcome import Outcome, arm_name

HUB = {"squad": "rajpurkar/squad"}  # kinds of domains whose questions are a data set of the hub


def model_card(verdict: Verdict) -> str:
    """A section for the README of a model on the hub: the verdict, every arm with its interval, the compute card."""
    setup, terms = verdict.setup, verdict.terms
    history = setup.history if setup else None
    told = [f"- Base model: {clean(verdict.model)}"] if verdict.model else []
    if terms:
        seeds = f"{terms.seeds} seed{'s' if terms.seeds != 1 else ''}"
        told += [f"- {terms.test_problems:,} test problems, {seeds}; trial `{clean(verdict.claim)}`"]
    if history:
        told += [
            f"- {f'Registered {history.registered[:10]}' if history.registered else 'Not registered'}: `{history.spec}`"
        ]
    sentences = [f"> {clean(f'{where}: {said}' if where else said)}" for where, said in plain(verdict)]
    card = compute_card_markdown(verdict)
    parts = ["## Evaluation at equal compute", "\n>\n".join(sentences), markdown(accuracies(verdict)), "\n".join(told)]
    parts += ["### Compute", card.rstrip("\n")] if card else []
    parts.append(f"Made by netgain {verdict.netgain} from the trial's records.")
    return "\n\n".join(part for part in parts if part) + "\n"


def eval_results(verdict: Verdict, arm: str = "", dataset: str = "") -> list[dict[str, Any]]:
    """What ``.eval_results/netgain.yaml`` holds of one arm: an entry for each of its domains that is a data set of the
    hub. ``arm`` is a label or a method (default: the arm under test); ``dataset`` the hub's name of the data.

    Empty where no data set is known. Raises InputError for an arm that was not compared, or has no accuracy.
    """
    own = [row for row in verdict.arms if row.own]
    tested = set(subjects(verdict).values())
    rows = [row for row in own if (arm in (row.label, row.method) if arm else row.name in tested)]
    if not rows or any(row.accuracy is None for row in rows):
        raise InputError(f"--arm {arm}", "is no arm that was compared", nearest(arm, [row.label for row in own]))
    worlds = verdict.terms.worlds if verdict.terms else {}
    found = [(row, dataset or HUB.get(worlds.get(row.setting, ""), "")) for row in rows]
    return [_entry(verdict, row, hub) for row, hub in found if hub]


def _entry(verdict: Verdict, row: ArmRow, dataset: str) -> dict[str, Any]:
    date = verdict.setup.date if verdict.setup else ""
    spread = f"95 % interval {row.low:.4f} to {row.high:.4f}, " if row.low is not None and row.high is not None else ""
    budget = (
        f"{row.budget_per_problem:.3g} {verdict.terms.currency.value} a problem, "
        if row.budget_per_problem and verdict.terms
        else ""
    )
    runs = f"{row.seeds} seed{'' if row.seeds == 1 else 's'}, netgain {verdict.netgain} trial {clean(verdict.claim)}"
    notes = f"{clean(row.label)}; {spread}{budget}{runs}"
    entry: dict[str, Any] = {"dataset": {"id": dataset, "task_id": "default"}, "value": round(row.accuracy or 0.0, 6)}
    return {**entry, **({"date": date} if date else {}), "notes": notes}


def instances(
    outcome: Outcome, records: Mapping[str, Any], examined: Sequence[ExaminedProblem]
) -> dict[str, list[dict[str, Any]]]:
    """Every Eval Ever's line for each answer to a question that decides, by the name of its arm's aggregate record in
    ``records`` (:func:`netgain.report.exports.every_eval_ever`).

    What was asked is known where the exam's text is; otherwise a line holds the question's hash and no reference.
    """
    asked = {(one.domain, q.question): (q.text, list(q.answers)) for one in examined for q in one.questions}
    found: dict[str, list[dict[str, Any]]] = {}
    for cell in outcome.cells():
        name = arm_name(cell, outcome.spec)
        if name in records:
            shared = {
                "schema_version": SCHEMA_VERSION,
                "evaluation_id": records[name]["evaluation_id"],
                "model_id": records[name]["model_info"]["id"],
                "evaluation_name": cell[0],
                "interaction_type": "single_turn",
            }
            found[name] = [{**shared, **line} for line in _lines(outcome, cell[0], outcome.adaptations[cell], asked)]
    return found


def _lines(outcome: Outcome, domain: str, rows: Any, asked: dict[tuple[str, str], Any]) -> Iterator[dict[str, Any]]:
    for (seed, problem), row in sorted(rows.items()):
        for answer in row.answers:
            if answer.kind != outcome.spec.compare.exam:
                continue
            raw, reference = asked.get((domain, answer.question), (answer.question, []))
            yield {
                "sample_id": f"{problem}/{answer.question}/{seed}",
                "input": {"raw": raw, "reference": reference},
                "output": {"raw": [answer.text]},
                "messages": None,
                "answer_attribution": [_attribution(answer)],
                "evaluation": {
                    "score": answer.f1 if outcome.spec.grade == "f1" else float(answer.correct),
                    "is_correct": answer.correct,
                },
                "metadata": _metadata(answer, problem, seed),
            }


def _attribution(answer: GradedAnswer) -> dict[str, Any]:
    known = {"turn_idx": 0, "source": "output.raw", "extracted_value": answer.text}
    return {**known, "extraction_method": "custom", "is_terminal": True}


def _metadata(answer: GradedAnswer, problem: str, seed: int) -> dict[str, str]:
    grades = {"exact": answer.matched}
    grades |= {
        name: value for name, value in (("contains", answer.contains), ("judge", answer.judged)) if value is not None
    }
    told = {"problem": problem, "question": answer.question, "seed": str(seed), "f1": repr(answer.f1)}
    return told | {name: str(value).lower() for name, value in grades.items()}
