"""A verdict for other tools: Every Eval Ever records with their single samples, a compute card as Markdown and JSON,
data frames, a section of a model card and entries of ``.eval_results`` for the Hugging Face hub. Nothing is uploaded.

Every Eval Ever (schema 0.3.0) has places for what was asked and scored and none for training; that goes into
``model_info.additional_details`` under names that begin with ``training.``, as strings, which the schema allows. What
is not known is left out.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from netgain import __version__
from netgain.analysis.verdict import ArmRow, Verdict
from netgain.errors import InputError, nearest
from netgain.records.identity import plain_name
from netgain.records.provenance import ExaminedProblem
from netgain.records.samples import GradedAnswer
from netgain.report.detail_tables import card as card_listing
from netgain.report.listings import Listing, accuracies
from netgain.report.numbers import clean
from netgain.report.summary import plain, subjects
from netgain.trials.outcome import Outcome, arm_name

SCHEMA_VERSION = "0.3.0"
ANSWER_COLUMNS = [
    *("arm", "domain", "method", "level", "seed", "problem", "status", "question", "kind", "asked", "accepted", "text"),
    *("correct", "exact", "contains", "f1", "judged", "votes", "cut", "drawn", "right"),
]
HUB = {"squad": "rajpurkar/squad"}  # kinds of domains whose questions are a data set of the hub
EXAMS = "exams"  # a stage of the compute card that is no training
Table = Literal["arms", "comparisons", "grades", "answers"]


def every_eval_ever(verdict: Verdict) -> dict[str, dict[str, Any]]:
    """One aggregate record for each arm as it is compared, by the arm's name. Same verdict, same records.

    The time is that of the run where it is recorded, else ``unknown``: nothing here reads the clock.
    """
    return {arm.name: _record(verdict, arm) for arm in verdict.arms if arm.own and arm.accuracy is not None}


def _record(verdict: Verdict, arm: ArmRow) -> dict[str, Any]:
    when = _seconds(verdict.setup.date if verdict.setup else "")
    own = verdict.terms is not None
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"netgain.{verdict.claim}/{plain_name(arm.name, '_')}/{when}",
        "evaluation_timestamp": when,
        "retrieved_timestamp": when,
        "source_metadata": {
            "source_name": verdict.title,
            "source_type": "evaluation_run" if own else "documentation",
            "source_organization_name": "netgain" if own else (verdict.paper or verdict.url or "unknown"),
            "evaluator_relationship": "first_party" if own else "third_party",
        },
        "eval_library": {"name": "netgain", "version": verdict.netgain or __version__},
        "model_info": {
            "name": arm.label,
            "id": verdict.model or "unknown",
            "additional_details": {
                "deployment_type": "unknown",
                "model_availability": "unknown",
                **training_details(verdict, arm),
            },
        },
        "evaluation_results": [_result(verdict, arm)],
    }


def _result(verdict: Verdict, arm: ArmRow) -> dict[str, Any]:
    details: dict[str, Any] = {"score": arm.accuracy}
    uncertainty: dict[str, Any] = {}
    if arm.low is not None and arm.high is not None:
        uncertainty["confidence_interval"] = {"lower": arm.low, "upper": arm.high, "confidence_level": 0.95}
    if arm.n_questions is not None:
        uncertainty["num_samples"] = arm.n_questions
    if uncertainty:
        details["uncertainty"] = uncertainty
    return {
        "evaluation_name": arm.setting,
        "source_data": {"dataset_name": arm.setting, "source_type": "other"},
        "metric_config": {
            "metric_id": "accuracy",
            "metric_kind": "accuracy",
            "metric_unit": "proportion",
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": 0.0,
            "max_score": 1.0,
        },
        "score_details": details,
    }


def training_details(verdict: Verdict, arm: ArmRow) -> dict[str, str]:
    """What an arm's training took in all, as far as it is known: the extension of its Every Eval Ever record.

    In a trial: of its method at all budget levels, tuning and exams apart, with the part that was rejected. Of a
    published arm: its training as it was read, without its outer loop.
    """
    found: dict[str, str] = {"training.role": arm.role}
    if arm.seeds is not None:
        found["training.seeds"] = str(arm.seeds)
    row = next((row for row in verdict.card if (row.setting, row.method) == (arm.setting, arm.method)), None)
    if row is not None:
        for stage, amounts in row.spent.items():
            if stage == EXAMS:
                continue
            found |= {
                f"training.{plain_name(stage, '_')}.{name}": repr(value) for name, value in sorted(amounts.items())
            }
        found |= {f"training.rejected.{name}": repr(value) for name, value in sorted(row.rejected.items())}
        if row.incomplete:
            found["training.known_only_in_part"] = ", ".join(row.incomplete)
        return found
    known = {"updates": arm.updates, "tokens_real": arm.tokens_real, "tokens_padded": arm.tokens_padded}
    if arm.flops_per_problem is not None and arm.n_problems:
        known["flops"] = arm.flops_per_problem * arm.n_problems
    found |= {f"training.{name}": repr(value) for name, value in known.items() if value is not None}
    if arm.invests or arm.invests_unpublished:
        found["training.outer_loop"] = ", ".join([*arm.invests, *(f"{x} (unknown)" for x in arm.invests_unpublished)])
    return found


def compute_card(verdict: Verdict) -> list[dict[str, Any]]:
    """The compute card as data: what each method took at each stage and how much of it was rejected."""
    return [row.model_dump(mode="json") for row in verdict.card]


def compute_card_markdown(verdict: Verdict) -> str:
    """The compute card as a Markdown table, to put into a paper's appendix or a model's card. Empty for an audit."""
    if not verdict.card:
        return ""
    listing = card_listing(verdict)
    notes = "".join(f"\n\n{note}" for note in listing.notes)
    return f"{markdown(listing)}{notes}\n"


def markdown(listing: Listing) -> str:
    """A listing as a Markdown table, its groups under headings of their own; the notes below it are left out."""
    lines = [listing.columns, ["---"] * len(listing.columns)]
    for heading, rows in listing.groups.items():
        lines += [[f"**{heading}**", *[""] * (len(listing.columns) - 1)]] if heading else []
        lines += [[f"{cell.text} {cell.note}".strip() for cell in row.cells] for row in rows]
    cells = [[clean(cell).replace("|", "/") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def to_frame(
    verdict: Verdict, table: Table = "arms", outcome: Outcome | None = None, examined: Iterable[ExaminedProblem] = ()
) -> Any:
    """Arms, comparisons, grades (every arm by every grade) or answers as a pandas data frame, a row each.

    Answers stand in a run's rows (``outcome``) and not in its verdict: :meth:`netgain.Run.to_frame` gives them.
    ``examined`` says what was asked. What is not known is missing, never zero or false.

    Raises InputError for another table, for answers without rows, and where pandas is not installed: netgain itself
    does not need it.
    """
    try:
        import pandas
    except ImportError:
        raise InputError("to_frame", "needs pandas, which is not installed", "pip install pandas") from None
    rows: dict[str, Iterable[Any]] = {
        "arms": verdict.arms,
        "comparisons": verdict.comparisons,
        "grades": verdict.answers,
    }
    if table not in (*rows, "answers"):
        raise InputError("to_frame", f"there is no table {table!r}", f"one of {', '.join([*rows, 'answers'])}")
    if table == "answers":
        if outcome is None:
            raise InputError("to_frame", "a verdict holds no answers", "ask the run: netgain.Run(folder).to_frame")
        return pandas.DataFrame(list(_answers(outcome, examined)), columns=ANSWER_COLUMNS)
    return pandas.json_normalize([row.model_dump(mode="json") for row in rows[table]], max_level=1)


def _answers(outcome: Outcome, examined: Iterable[ExaminedProblem]) -> Iterator[dict[str, Any]]:
    """Every answer of every arm, level, run and problem; ``arm`` is the name that the verdict's arms have."""
    asked = {(one.domain, question.question): question for one in examined for question in one.questions}
    for cell in outcome.cells():
        for (seed, problem), row in sorted(outcome.adaptations[cell].items()):
            where = {"arm": arm_name(cell, outcome.spec), "domain": cell[0], "method": cell[1], "level": cell[2]}
            for answer in row.answers:
                known = asked.get((cell[0], answer.question))
                told = {"asked": known.text, "accepted": list(known.answers)} if known else {}
                graded = {**answer.model_dump(exclude={"attempts"}), "exact": answer.matched}
                yield {**where, "seed": seed, "problem": problem, "status": row.status, **told, **graded}


def as_json(record: dict[str, Any]) -> str:
    """A record as text. Same record, same bytes."""
    return json.dumps(record, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _seconds(date: str) -> str:
    """Unix time of an ISO date, as the schema has it; one that names no time zone is UTC, wherever it is read."""
    try:
        at = datetime.fromisoformat(date)
    except ValueError:
        return "unknown"
    return str(int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()))


# -- the hub, and single samples


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
    ``records`` (:func:`every_eval_ever`).

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
