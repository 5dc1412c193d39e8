"""Coverage at the exam: several answers to every question are drawn, paid as evaluation, kept as counts, and told."""

import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from pydantic import ValidationError

from netgain.analysis.coverage import pass_at
from netgain.analysis.judge import judge
from netgain.analysis.rows import CoverageRow
from netgain.analysis.verdict import Verdict
from netgain.exam.exam import SAMPLES
from netgain.metering.verification import verify
from netgain.model import Generate, Model, scripted_model
from netgain.records.claim import Role
from netgain.records.cost import Purpose
from netgain.records.samples import Adaptation, GradedAnswer, Row, read_rows
from netgain.report.page import render
from netgain.streams import stream
from netgain.trials import store
from netgain.trials.kept import KeptRun
from netgain.trials.recheck import recheck
from netgain.trials.resolve import Trial
from netgain.trials.spec import TrialSpec
from netgain.trials.trial_claim import claim_of
from tests import simulated_trial as simulated
from tests.trials import world

ROLES = {"edits": Role.SELF_IMPROVING, "frozen": Role.FROZEN, "passage": Role.PASSAGE}
ARMS = {"frozen": {"method": "frozen"}, "again": {"method": "frozen"}, "passage": {"method": "passage"}}
SMALL = {"seeds": 1, "problems": {"train": 2, "development": 1, "test": 4}, "tuning": {"trials": 0}}
EXAM = {"controls": 1, "drift": 0, "coverage": {"k": [1, 2, 4], "samples": 4, "temperature": 0.7}}


def load(trial: Trial, device: str) -> Model:
    """What nobody trained answers rightly in one of four tries; greedily it is always wrong."""

    def answer(request: Generate) -> str:
        said = world.answer(request)
        town = str(request.prompt).rpartition("town of ")[2].partition(" ")[0]
        return f"r{town}" if request.temperature == 0.7 and said == "unknown" and request.seed % 4 == 0 else said

    return scripted_model(answer, name="scripted")


def asked(arms: Mapping[str, Any]) -> TrialSpec:
    budget, compare = {"per_problem": 2, "ladder": [0.5, 1]}, {"arm": "passage", "against": "frozen"}
    return world.spec(arms, exam=EXAM, budget=budget, compare=compare, **SMALL)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Row]]:
    folder = tmp_path_factory.mktemp("run")
    result = world.run(folder, asked(ARMS), load=load)
    assert result.failed == {}
    return folder, read_rows(folder / store.SAMPLES)


def test_the_estimate_is_the_share_of_all_subsets_in_which_one_is_right() -> None:
    for right in range(6):
        answers = [True] * right + [False] * (5 - right)
        for k in range(1, 6):
            every = [any(chosen) for chosen in combinations(answers, k)]
            assert pass_at(k, 5, right) == pytest.approx(fmean(every), abs=1e-15)
    for wrong in ((0, 5, 1), (6, 5, 1), (1, 5, 6)):
        with pytest.raises(ValueError, match="pass@k is known"):
            pass_at(*wrong)


def test_what_was_drawn_is_counted_at_the_levels_that_are_examined(run: tuple[Path, list[Row]]) -> None:
    found = [row for row in run[1] if isinstance(row, Adaptation)]
    own = [a for row in found if row.rung == 1.0 for a in row.answers if a.kind != "skill"]
    assert {answer.drawn for answer in own} == {4}
    assert {a.drawn for row in found if row.rung != 1.0 for a in row.answers} == {None}
    assert {a.drawn for row in found for a in row.answers if a.kind == "skill"} == {None}
    frozen = [a for row in found if (row.arm, row.rung) == ("frozen", 1.0) for a in row.answers if a.kind != "skill"]
    assert not any(answer.correct for answer in frozen)
    assert 0.1 < fmean((answer.right or 0) / 4 for answer in frozen) < 0.4
    trained = [a for row in found if (row.arm, row.rung) == ("passage", 1.0) for a in row.answers if a.kind != "skill"]
    assert {answer.right for answer in trained} == {4}


def test_it_is_paid_as_evaluation_beside_the_exam_and_changes_the_price_of_no_answer(
    run: tuple[Path, list[Row]],
) -> None:
    folder, rows = run
    found = [row for row in rows if isinstance(row, Adaptation) and row.rung == 1.0]
    assert {row.sampling["flops"] for row in found} == {2 * 4}  # two questions, one FLOP an answer
    charges = [charge for path in folder.glob("units/*/journal") for charge in verify(path).charges]
    drawn = [charge for charge in charges if charge.opened.name == SAMPLES]
    assert {charge.purpose for charge in drawn} == {Purpose.EVALUATE}
    assert sum(charge.cost.flops or 0 for charge in drawn) == sum(row.sampling["flops"] for row in found)
    claim = claim_of(asked(ARMS), rows, ROLES)
    parts = {charge.operation: charge.cost.flops for charge in claim.charges if charge.arm == "towns/frozen@1"}
    assert parts["coverage"] == 4 * 2 * 4
    assert parts["exams"] == 4 * 2
    assert parts["stability"] == 4 * 1  # the control
    assert sum(charge.cost.flops or 0 for charge in claim.charges) == sum(charge.cost.flops or 0 for charge in charges)
    assert not recheck(KeptRun(folder)).doubts


def test_every_arm_draws_by_the_same_random_numbers(run: tuple[Path, list[Row]]) -> None:
    """Two arms that are the same model cover the same, so that arms differ by what they learned alone."""
    found = [row for row in run[1] if isinstance(row, Adaptation) and row.rung == 1.0]
    counts = {arm: [a.right for row in found if row.arm == arm for a in row.answers] for arm in ("frozen", "again")}
    assert counts["frozen"] == counts["again"]
    assert len(set(counts["frozen"])) > 1


def test_a_failed_adaptation_covers_nothing(tmp_path: Path) -> None:
    arms = {"frozen": {"method": "frozen"}, "passage": {"method": "passage", "fails": True}}
    world.run(tmp_path, asked(arms), load=load)
    found = [row for row in read_rows(tmp_path / store.SAMPLES) if isinstance(row, Adaptation)]
    lost = [row for row in found if row.status == "failed" and row.rung == 1.0]
    assert lost
    assert {answer.right for row in lost for answer in row.answers if answer.drawn} == {0}
    assert not recheck(KeptRun(tmp_path)).doubts


def test_without_it_a_trial_has_the_identity_that_it_had() -> None:
    assert "coverage" not in store.locked_form(world.resolved(), "1", {})["trial"]["exam"]
    assert "coverage" in store.locked_form(world.resolved(world.spec(exam=EXAM)), "1", {})["trial"]["exam"]


@pytest.mark.parametrize(
    ("coverage", "message"),
    [
        ({"k": [1, 8], "samples": 4}, "pass@8 needs 8 or more"),
        ({"k": [4, 1]}, "must rise, each once"),
        ({"k": []}, "at least 1 item"),
        ({"temperature": 0}, "greater than 0"),
        ({"k": [0]}, "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_estimated_is_refused(coverage: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        world.spec(exam={"coverage": coverage})


# -- sharper, or more able


def rows_with(chances: dict[str, Sequence[float]], samples: int = 16) -> tuple[TrialSpec, list[Row]]:
    """Rows in which an arm answers the i-th of a problem's questions rightly with the i-th of these chances."""
    design = simulated.Design(simulated.STANDARD, problems=24, seeds=3, ladder=(1.0,))
    rng = stream(0, "coverage")

    def counted(arm: str, index: int, answer: GradedAnswer) -> GradedAnswer:
        of_arm = chances[arm]
        right = int(rng.binomial(samples, of_arm[index % len(of_arm)]))
        return answer.model_copy(update={"drawn": samples, "right": right})

    rows: list[Row] = []
    for row in simulated.rows_of(design):
        if isinstance(row, Adaptation) and row.arm in chances:
            answers = tuple(counted(row.arm, index, answer) for index, answer in enumerate(row.answers))
            row = row.model_copy(update={"answers": answers})
        rows.append(row)
    spec = simulated.spec_of(design)
    exam = {**spec.exam.model_dump(), "coverage": {"k": (1, 4, 16), "samples": samples, "temperature": 1.0}}
    return TrialSpec.model_validate(spec.model_dump() | {"exam": exam}), rows


@pytest.fixture(scope="module")
def verdict() -> Verdict:
    """The frozen model finds everything sooner or later; SEAL finds half of it at once and the rest never; training on
    the passage finds more of everything; own text less."""
    chances = {"frozen": [0.2], "seal": [0.9, 0.0], "passage": [0.3], "own": [0.02]}
    spec, rows = rows_with(chances)
    return judge(claim_of(spec, rows, simulated.ROLES))


def row_of(verdict: Verdict, method: str) -> CoverageRow:
    return next(row for row in verdict.coverage if verdict.arm(row.arm).method == method)


def test_an_arm_that_only_draws_what_was_there_is_sharper_and_not_more_able(verdict: Verdict) -> None:
    seal = row_of(verdict, "seal")
    assert seal.kind == "sharper"
    assert seal.overtaken is not None
    assert 1 < seal.overtaken <= 6  # 1 - 0.8^k passes 0.5 at k = 4
    assert seal.overtaken <= (seal.surely_overtaken or 0)
    first, _, last = seal.points
    assert first.over_frozen is not None
    assert first.over_frozen.low > 0
    assert last.passed is not None
    assert last.passed.value == pytest.approx(0.5, abs=0.02)
    assert last.over_frozen is not None
    assert last.over_frozen.high < 0


def test_one_that_passes_more_at_every_k_is_more_able_unless_the_tries_make_both_perfect(verdict: Verdict) -> None:
    passage, own = row_of(verdict, "passage"), row_of(verdict, "own")
    assert passage.overtaken is None
    assert passage.kind in ("more able", "sharper at most")
    assert (own.kind, own.overtaken) == ("less able", 1)


def test_the_verdict_and_the_page_tell_it_with_intervals(verdict: Verdict) -> None:
    told = next(text for text in verdict.headline.details if "one right answer of" in text)
    assert "it is sharper, and not more able" in told
    assert "the frozen model passes more from k = " in told
    page = render(verdict)
    assert "Sharper, or more able" in page
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "pass@16" in text
    assert "Coverage: 16 answers to every question at temperature 1" in text


def test_a_trial_without_it_has_no_such_section() -> None:
    design = simulated.Design(simulated.STANDARD, problems=8, ladder=(1.0,))
    found = judge(claim_of(simulated.spec_of(design), simulated.rows_of(design), simulated.ROLES))
    assert found.coverage == []
    assert "Sharper, or more able" not in render(found)
