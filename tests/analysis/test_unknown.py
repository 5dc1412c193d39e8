"""What is not known is never shown as 0, and what is paid at the exam stands beside what is paid before it."""

from types import ModuleType
from typing import Any

import pytest

from netgain.analysis.judge import judge
from netgain.analysis.verdict import Verdict
from netgain.records.samples import Adaptation, Row
from netgain.report import detail_tables
from netgain.report.listings import accuracies, arms
from netgain.trials.trial_claim import claim_of

CLOCKS = {"seconds", "joules", "dollars"}


@pytest.fixture(scope="module")
def plain(simulated: ModuleType) -> Verdict:
    return judged(simulated)


def judged(simulated: ModuleType, rows: Any = None, **more: Any) -> Verdict:
    design = simulated.Design(simulated.STANDARD, problems=6, ladder=(1.0, 2.0), **more)
    made = simulated.rows_of(design) if rows is None else rows(simulated.rows_of(design))
    return judge(claim_of(simulated.spec_of(design), made, simulated.ROLES))


def column(listing: Any, name: str) -> dict[str, str]:
    """The cells of a column by the first cell of their row."""
    at = listing.columns.index(name)
    return {line.cells[0].text: line.cells[at].text for lines in listing.groups.values() for line in lines}


@pytest.mark.parametrize("method", ["frozen", "context", "seal"])
def test_a_clock_that_nobody_read_is_not_zero_on_the_card(plain: Verdict, method: str) -> None:
    """An arm that trains nothing took no time to train, but its exams took some, and nobody knows how much."""
    row = next(row for row in plain.card if row.method == method)
    assert not CLOCKS & set(row.total)
    assert set(row.incomplete) >= CLOCKS
    assert row.total["flops"] > 0
    listing = detail_tables.card(plain)
    assert not CLOCKS & set(listing.columns)
    assert listing.notes == ("Not in the record, so unknown: seconds, joules, dollars.",)


def test_exams_whose_cost_is_not_in_the_record_make_the_total_a_lower_bound(simulated: ModuleType) -> None:
    def unmeasured(rows: list[Row]) -> list[Row]:
        return [row.model_copy(update={"evaluated": {}}) if forgot(row) else row for row in rows]

    def forgot(row: Row) -> bool:
        return isinstance(row, Adaptation) and row.arm in {"passage", "frozen"}

    verdict = judged(simulated, unmeasured)
    rows = {row.method: row for row in verdict.card}
    assert "flops" in rows["passage"].incomplete
    assert "flops" not in rows["own"].incomplete
    table = detail_tables.card(verdict)
    assert column(table, "exams")[rows["passage"].label] == "unknown"
    assert column(table, "all FLOPs")[rows["passage"].label].startswith("≥ ")
    assert column(table, "all FLOPs")[rows["frozen"].label] == "unknown"
    assert column(table, "investments")[rows["own"].label] == "0"
    assert verdict.arm("plain/passage@1").answering == {}


def test_rejected_work_of_unknown_size_is_unknown(simulated: ModuleType) -> None:
    def rejected(rows: list[Row]) -> list[Row]:
        """One of the own arm's adaptations threw away tokens, and nobody knows how many FLOPs."""
        lost = {"tokens_real": 1.0, "flops": 1e9}
        return [
            row.model_copy(update={"rejected": {"tokens_real": 1.0} if row.problem == "p0" else lost})
            if isinstance(row, Adaptation) and row.arm == "own"
            else row
            for row in rows
        ]

    verdict = judged(simulated, rejected)
    own = verdict.arm("plain/own@1")
    assert "flops" not in own.rejected_per_problem
    assert column(arms(verdict), "rejected")[own.label] == "unknown"
    card = detail_tables.card(verdict)
    assert column(card, "rejected or failed")[own.label] == "unknown"
    assert column(card, "rejected or failed")["the frozen model"] == "0"


def test_what_reading_at_the_exam_costs_stands_beside_what_training_costs(simulated: ModuleType) -> None:
    """An exam of 8 questions takes 1 GFLOPs, ten times as much with the passage; training took 2 TFLOPs."""

    def dearer(rows: list[Row]) -> list[Row]:
        return [
            row.model_copy(update={"evaluated": {"flops": 1e10}, "spent": {}})
            if isinstance(row, Adaptation) and row.arm == "context"
            else row.model_copy(update={"divergence": None})
            if isinstance(row, Adaptation)
            else row
            for row in rows
        ]

    verdict = judged(simulated, dearer)
    row = next(row for row in verdict.reading if row.trained == "plain/passage@1")
    assert (row.reader, row.questions) == ("plain/context@1", 8)
    assert (row.reading, row.answering) == pytest.approx((1e10 / 8, 1e9 / 8))
    assert row.training == pytest.approx(2e12)
    assert row.crossing == 1778  # 2e12 / (9e9 / 8) = 1777.8
    assert not row.never
    assert column(accuracies(verdict), "a question")["the passage in context"] == "1.25 G"
    told = column(detail_tables.reading(verdict), "questions from which training costs less")
    assert told["fine-tuning on the passage"] == "from 1,778 on"


def test_reading_that_costs_no_more_than_answering_never_crosses(simulated: ModuleType) -> None:
    def as_cheap(rows: list[Row]) -> list[Row]:
        more = {"divergence": None}
        return [
            row.model_copy(update=more | ({"spent": {}} if row.arm == "context" else {}))
            if isinstance(row, Adaptation)
            else row
            for row in rows
        ]

    assert all(row.never and row.crossing is None for row in judged(simulated, as_cheap).reading)


def test_an_exam_that_measured_more_than_its_questions_prices_none_of_them(simulated: ModuleType) -> None:
    """Where control questions or drift were paid with it, what one question took is unknown."""
    row = next(row for row in judged(simulated, controls=2).reading if row.trained == "plain/seal@1")
    assert (row.answering, row.crossing, row.never) == (None, None, False)


def test_an_arm_that_only_reads_changes_no_control_answer_and_there_is_nothing_to_estimate(
    simulated: ModuleType,
) -> None:
    verdict = judged(simulated, controls=2)
    arms = {row.arm.split("/")[1].split("@")[0] for row in verdict.stability}
    assert arms == {"passage", "own", "oracle", "seal", "context"}
    for row in verdict.stability:
        if row.arm.startswith("plain/context"):
            assert (row.fixed, row.broken, row.change) == (0, 0, None)
            assert row.questions > 0
        else:
            assert row.change is not None
    assert any("without what it reads" in note for note in verdict.notes)


def test_an_arm_that_reads_for_nothing_beforehand_does_not_beat_those_that_train(plain: Verdict) -> None:
    assert plain.arm("plain/context@1").undominated == []
    assert any(arm.undominated for arm in plain.arms if arm.role == "teacher")
