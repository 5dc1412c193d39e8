"""A verdict for other tools: Every Eval Ever records, a compute card as Markdown and JSON, and data frames.

Every Eval Ever (schema 0.3.0) has places for what was asked and scored and none for training; that goes into
``model_info.additional_details`` under names that begin with ``training.``, as strings, which the schema allows. What
is not known is left out.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Literal

from netgain import __version__
from netgain.analysis.verdict import ArmRow, Verdict
from netgain.errors import InputError
from netgain.records.provenance import ExaminedProblem
from netgain.report.detail_tables import card as card_listing
from netgain.report.listings import Listing
from netgain.report.numbers import clean
from netgain.trials.outcome import Outcome, arm_name

SCHEMA_VERSION = "0.3.0"
ANSWER_COLUMNS = [
    *("arm", "domain", "method", "level", "seed", "problem", "status", "question", "kind", "asked", "accepted", "text"),
    *("correct", "exact", "contains", "f1", "judged", "votes", "cut", "drawn", "right"),
]
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
        "evaluation_id": f"netgain.{verdict.claim}/{_slug(arm.name)}/{when}",
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
            found |= {f"training.{_slug(stage)}.{name}": repr(value) for name, value in sorted(amounts.items())}
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
    plain = [[clean(cell).replace("|", "/") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in plain)


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


def _slug(text: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in text)
