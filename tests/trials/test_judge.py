"""A trial with a judge: paid as evaluation, read or none, agreement as a number, and the same bytes every time."""

import json
from pathlib import Path
from typing import Any

import pytest

from netgain.analysis.judge import judge as verdict_of
from netgain.analysis.verdict import Verdict
from netgain.domains.grading import grade
from netgain.domains.problem import Grade, Question
from netgain.errors import InputError
from netgain.exam.exam import PLANTED, Judge, Marked, judged
from netgain.exam.exam import planted as planted_answers
from netgain.metering.account import Book
from netgain.metering.verification import verify
from netgain.model import program
from netgain.model.metered import Model
from netgain.model.requests import Generate
from netgain.model.scripted import scripted_model, text_of
from netgain.records.claim import Claim
from netgain.records.cost import Purpose
from netgain.records.samples import Adaptation, AdaptationStream, GradedAnswer, Tuning, read_rows
from netgain.trials.executor import load_judge
from netgain.trials.resolve import Trial
from netgain.trials.schedule import TrialResult
from netgain.trials.store import LOCK, SAMPLES, Store
from netgain.trials.trial_claim import claim_of
from tests.trials import world


def said(request: Generate) -> str:
    """Never right about ``unknown``; right about rivers; unreadable on skills; on second questions too lenient."""
    prompt = text_of(request.prompt)
    if "What is" in prompt:
        return "perhaps"
    if "Whose water" in prompt:
        return "Yes."
    return "no" if "unknown" in prompt else "yes"


def judge(trial: Trial, device: str) -> Model | None:
    return None if trial.spec.judge is None else scripted_model(said, name="judge")


def launch(folder: Path, load_judge: Any = judge, **changes: Any) -> TrialResult:
    asked = world.spec(**{"judge": {"model": "a-judge"}, **changes})
    return world.run(folder, asked, load_judge=load_judge)


def run(folder: Path, **changes: Any) -> list[Any]:
    assert launch(folder, **changes).failed == {}
    return read_rows(folder / SAMPLES)


def verdict(folder: Path) -> Verdict:
    spec, roles = Store(folder).asked()
    return verdict_of(claim_of(spec, read_rows(folder / SAMPLES), roles))


def answers(rows: list[Any]) -> list[GradedAnswer]:
    tested = [row for row in rows if isinstance(row, Adaptation)]
    return [answer for row in tested for answer in row.answers]


def planted(rows: list[Any]) -> int:
    """How many planted answers the judge was asked about."""
    checks = [row.judge_check for row in rows if isinstance(row, Adaptation) and row.judge_check]
    return sum(check.right + check.wrong for check in checks)


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("beside")
    run(folder)
    return folder


@pytest.fixture(scope="module")
def deciding(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deciding")
    run(folder, grade="judge", exam={"controls": 2, "drift": 0, "stream": 2})
    return folder


def test_beside_exact_match_a_judge_changes_nothing_but_what_is_evaluated(beside: Path, tmp_path: Path) -> None:
    world.run(tmp_path)
    pairs = zip(read_rows(tmp_path / SAMPLES), read_rows(beside / SAMPLES), strict=True)
    for alone, beside_it in pairs:
        if not isinstance(alone, Adaptation) or not isinstance(beside_it, Adaptation):
            assert alone == beside_it
            continue
        asked = len(beside_it.answers) + planted([beside_it])
        assert beside_it.judging["flops"] == asked
        assert beside_it.evaluated["flops"] == alone.evaluated["flops"] + asked
        unjudged = [answer.model_copy(update={"judged": None}) for answer in beside_it.answers]
        changes = {"judging": {}, "evaluated": alone.evaluated, "answers": tuple(unjudged), "judge_check": None}
        assert beside_it.model_copy(update=changes) == alone


def test_the_judge_is_paid_as_evaluation_in_every_journal(beside: Path) -> None:
    asked = 0
    for path in beside.rglob("journal"):
        mine = [charge for charge in verify(path).charges if charge.opened.name == "judge"]
        assert {charge.purpose for charge in mine} <= {"evaluate"}
        assert verify(path).ok
        asked += len(mine)
    rows = read_rows(beside / SAMPLES)
    assert asked == len(answers(rows)) + planted(rows)


def test_what_cannot_be_read_is_none(beside: Path) -> None:
    found: dict[str, set[bool | None]] = {kind: set() for kind in ("knowledge", "reasoning", "skill")}
    for answer in answers(read_rows(beside / SAMPLES)):
        found[answer.kind].add(answer.judged)
    assert found == {"knowledge": {True, False}, "reasoning": {True}, "skill": {None}}


def test_agreement_is_what_it_is_by_hand(beside: Path) -> None:
    # 3 arms x 2 seeds x 3 rungs x 4 problems: of the 72 answers of each kind the frozen model's 24 are wrong. The judge
    # agrees on all of knowledge, and on reasoning finds the 24 right as well; the 2 controls of rung 1 are unreadable.
    found = verdict(beside).judging
    assert found is not None
    assert (found.model, found.decides) == ("a-judge", False)
    assert (found.count, found.unreadable, found.lenient, found.strict) == (144, 48, 24, 0)
    assert found.raw == pytest.approx(120 / 144)
    chance = (120 / 144) * (96 / 144) + (24 / 144) * (48 / 144)
    assert found.kappa == pytest.approx((120 / 144 - chance) / (1 - chance))
    assert found.spent["tokens_generated"] == 192 + found.planted_right + found.planted_wrong


def test_where_it_decides_grades_tuning_and_stream_are_its_own(deciding: Path) -> None:
    rows = read_rows(deciding / SAMPLES)
    for answer in answers(rows):
        assert answer.correct == (True if answer.kind == "skill" else answer.judged)
        assert (answer.exact is None) == (answer.kind == "skill")
    frozen = [row for row in rows if isinstance(row, AdaptationStream) and row.arm == "frozen"]
    assert {value for row in frozen for line in row.matrix for value in line} == {0.5}
    for path in deciding.rglob("journal"):
        purposes = {charge.purpose for charge in verify(path).charges if charge.opened.name == "judge"}
        assert purposes == ({"tune"} if path.parent.name.startswith("tune-") else {"evaluate"})
    assert all(row.development == 0.0 for row in rows if isinstance(row, Tuning) and row.arm == "frozen")


def test_agreement_is_with_exact_match_whoever_decides(beside: Path, deciding: Path) -> None:
    one, other = verdict(beside).judging, verdict(deciding).judging
    assert one is not None
    assert other is not None
    assert other.decides
    assert (one.count, one.unreadable, one.raw, one.kappa) == (other.count, other.unreadable, other.raw, other.kappa)


def test_the_same_seed_gives_the_same_bytes(beside: Path, tmp_path: Path) -> None:
    run(tmp_path)
    for file in (SAMPLES, LOCK):
        assert (tmp_path / file).read_bytes() == (beside / file).read_bytes()


def test_running_again_repeats_nothing_and_another_judge_is_refused(tmp_path: Path) -> None:
    first = launch(tmp_path)
    assert launch(tmp_path).repeated == len(first.finished)
    with pytest.raises(InputError, match=r"trial\.grade"):
        launch(tmp_path, grade="judge")


def test_without_a_judge_the_lock_is_as_it_was_before_there_was_one(tmp_path: Path) -> None:
    world.run(tmp_path)
    text = (tmp_path / LOCK).read_text()
    assert "judge: null" in text
    assert "grade" not in text
    assert "judge_digest" not in text


@pytest.mark.parametrize("grade", ["exact", "judge"])
def test_a_judge_that_breaks_is_no_methods_failure(tmp_path: Path, grade: str) -> None:
    def broken(request: Generate) -> str:
        raise RuntimeError("the judge is gone")

    done = launch(tmp_path, lambda trial, device: scripted_model(broken, name="judge"), grade=grade)
    assert done.failed
    assert all("the judge is gone" in error for error in done.failed.values())
    rows = run(tmp_path, grade=grade)  # with the judge back, what was lost is done again
    assert {row.status for row in rows if isinstance(row, Adaptation)} == {"ok"}
    (tmp_path / "units" / "run-towns-frozen-0" / "unit.json").unlink()
    with pytest.raises(InputError, match="judge_digest"):
        launch(tmp_path, lambda trial, device: scripted_model(said, name="b"), grade=grade)


def test_page_and_terminal_say_how_far_the_judge_agrees(beside: Path, deciding: Path) -> None:
    from netgain.report.page import render

    shown = verdict(beside)
    (sentence,) = (told for told in shown.headline.details if told.startswith("The judge"))
    assert "agrees with exact match on 83.3 % of 144 answers" in sentence
    assert "48 of its verdicts could not be read; the grades are exact match" in sentence
    assert "judge-unreadable" in {finding.check for finding in shown.findings}
    assert 'id="judge"' in render(shown)
    assert "where one could not be read, exact match stands" in render(verdict(deciding))


def test_a_claim_with_a_judge_is_judged_from_file_as_from_rows(beside: Path) -> None:
    spec, roles = Store(beside).asked()
    claim = claim_of(spec, read_rows(beside / SAMPLES), roles)
    assert verdict_of(Claim.model_validate_json(json.dumps(claim.dump()))) == verdict(beside)


def test_a_local_folder_judges_through_its_own_metered_door(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the models need torch")
    from tests.model.conftest import save_model

    folder = save_model(tmp_path / "judge", max_position_embeddings=1024)
    loaded = load_judge(world.resolved(world.spec(judge={"model": str(folder)})), "cpu")
    assert loaded is not None
    with Book.open(tmp_path / "journal") as book:
        account = book.account("exam", purpose=Purpose.EVALUATE)
        mark = Marked(Question("By which river?", ("Elbe",)), "Elbe", Grade(True, 1.0))
        ((_, ended),) = program.run({"": judged(Judge(loaded), [mark], account)})
        assert ended.error is None
        (charge,) = book.charges()
    assert charge.purpose is Purpose.EVALUATE
    assert (charge.cost.tokens_real or 0) > 100
    assert 1 <= (charge.cost.tokens_generated or 0) <= 16
    assert (charge.cost.flops or 0) > 0


def test_a_judge_without_a_model_and_a_grade_without_a_judge_are_refused() -> None:
    with pytest.raises(ValueError, match="names no model"):
        world.spec(judge={"url": "http://127.0.0.1:1/v1"})
    with pytest.raises(ValueError, match="this trial has no judge"):
        world.spec(grade="judge")


# -- what a judge is worth is seen before its verdicts are used


def always(word: str) -> Any:
    return lambda trial, device: scripted_model(lambda request: word, name="judge")


def knows(request: Generate) -> str:
    """A fair judge: the answer is one of the references."""
    prompt = text_of(request.prompt)
    references = prompt.partition("Reference answers:\n")[2].partition("\n\nAnswer")[0]
    answer = prompt.rpartition("<<<\n")[2].partition("\n>>>")[0]
    return "yes" if f"- {answer}" in references.splitlines() else "no"


@pytest.mark.parametrize(
    ("load", "told"),
    [
        (always("yes"), "it accepted 24 of 24 answers that are wrong and rejected 0 of 24 that are right"),
        (always("no"), "it accepted 0 of 24 answers that are wrong and rejected 24 of 24 that are right"),
    ],
)
def test_a_judge_that_says_the_same_to_everything_gives_no_verdict(tmp_path: Path, load: Any, told: str) -> None:
    assert launch(tmp_path, load, grade="judge", seeds=1).failed == {}
    found = verdict(tmp_path)
    (finding,) = (finding for finding in found.findings if finding.check == "judge-mistaken")
    assert (finding.severity, finding.message) == (
        "high",
        f"the judge cannot tell right from wrong: of planted answers {told}; no verdict is given by it",
    )
    assert found.headline.kind == "cannot tell"
    assert told in found.headline.sentence
    by_grade = {row.grade: row.kind for row in found.grades}
    assert by_grade["judge"] == "cannot tell"
    assert by_grade["exact"] != "cannot tell"


def test_a_judge_that_knows_right_from_wrong_is_believed(tmp_path: Path) -> None:
    assert launch(tmp_path, lambda t, d: scripted_model(knows, name="judge"), grade="judge", seeds=1).failed == {}
    found = verdict(tmp_path)
    assert found.judging is not None
    assert (found.judging.planted_right, found.judging.planted_wrong, found.judging.mistaken) == (24, 24, 0.0)
    assert "judge-mistaken" not in {finding.check for finding in found.findings}
    assert found.headline.kind != "cannot tell"


def test_planted_answers_are_spread_over_the_questions_and_known_to_be_right_or_wrong() -> None:
    questions = [Question(f"Which river, {n}?", (f"r{n}", f"the river {n}")) for n in range(30)]
    questions += [Question("When?", ("1990",), "year"), Question("And when?", ("12 May 1990",), "year")]
    asked = planted_answers(questions, grade)
    assert [right for _, _, right in asked] == [True, False] * PLANTED
    assert all((answer in question.answers) == right for question, answer, right in asked)
    assert len({question.text for question, _, _ in asked}) == PLANTED
    years = planted_answers(questions[-2:], grade)
    assert years == []  # of these each says the other, in part
    assert planted_answers(questions[:1], grade) == []
