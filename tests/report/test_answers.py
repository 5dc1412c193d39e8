"""Every answer and every text of a trial can be browsed: what was asked, what was right, each grade, who wrote what."""

import re
from html import unescape
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from netgain.analysis.judge import judge
from netgain.analysis.verdict import Verdict
from netgain.errors import InputError
from netgain.records.learning import EditRound, RewardedEdit
from netgain.records.provenance import ExaminedProblem, ExaminedQuestion
from netgain.records.samples import Adaptation, GradedAnswer, Investment, Row, WrittenText, read_rows
from netgain.report import answers_view
from netgain.report.answers_view import AnswerPages
from netgain.report.page import render
from netgain.trials.outcome import Outcome
from netgain.trials.run_setup import EXAM_FILE, read_exam
from netgain.trials.store import Store
from netgain.trials.trial_claim import claim_of

HOSTILE = '</script><script>window.PWNED=1</script><img src=x onerror="window.PWNED=2">"\'{{ 7 * 7 }}'
RESULTS = Path(__file__).parents[2] / "results"


def made(simulated: ModuleType, change: Any = lambda row: row) -> tuple[Outcome, Verdict, list[Row]]:
    design = simulated.Design(simulated.STANDARD, problems=4)
    rows = [change(row) for row in simulated.rows_of(design)]
    spec = simulated.spec_of(design)
    return Outcome.of(spec, rows), judge(claim_of(spec, rows, simulated.ROLES)), rows


def exam_of(rows: list[Row], text: str = "What is it?", gold: str = "gold") -> list[ExaminedProblem]:
    """Every question of these rows under a text of its own."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        if isinstance(row, Adaptation):
            asked = {answer.question: answer.kind for answer in row.answers}
            found.setdefault((row.domain, row.problem), {}).update(asked)
    return [
        ExaminedProblem(
            domain=domain,
            problem=problem,
            title=f"On {problem}",
            text=f"A passage on {problem}.",
            questions=tuple(
                ExaminedQuestion(question=name, kind=kind, text=f"{text} {name}", answers=(gold,))
                for name, kind in asked.items()
            ),
        )
        for (domain, problem), asked in found.items()
    ]


def written(row: Row) -> Row:
    """The row with an answer and a text that are known by its arm and seed."""
    if not isinstance(row, Adaptation):
        return row
    answers = tuple(
        one.model_copy(update={"text": f"said-{row.arm}-{row.seed}", "contains": True, "f1": 0.5})
        for one in row.answers
    )
    edits = (WrittenText(purpose="propose", text=f"wrote-{row.arm}-{row.seed}-{row.problem}"),)
    return row.model_copy(update={"answers": answers, "edits": edits})


def test_every_answer_and_every_text_stands_on_the_page_of_its_problem(simulated: ModuleType) -> None:
    outcome, verdict, rows = made(simulated, written)
    files = AnswerPages(outcome, verdict, exam_of(rows)).render()
    pages = {name: unescape(text) for name, text in files.items() if name.startswith("problem")}
    assert len(pages) == 4
    adapted = [row for row in rows if isinstance(row, Adaptation)]
    for row in adapted:
        (page,) = (text for text in pages.values() if f"<h1>On {row.problem}</h1>" in text)
        assert all(edit.text in page for edit in row.edits)
        assert all(answer.text in page for answer in row.answers)
    assert all("What is it?" in page and "F1 0.50" in page and "contains yes" in page for page in pages.values())
    assert files == AnswerPages(outcome, verdict, exam_of(rows)).render()


def test_without_the_exam_questions_go_by_their_hashes_and_no_example_is_made_up(simulated: ModuleType) -> None:
    outcome, verdict, rows = made(simulated)
    pages = AnswerPages(outcome, verdict, [])
    text = pages.render()["problem-0001.html"]
    first = next(row for row in rows if isinstance(row, Adaptation))
    assert f"<code>{first.answers[0].question}</code>" in text
    assert "not in the record" in text
    assert pages.examples() == []
    assert "Browse every answer" in render(verdict, examples=[])
    assert "Browse every answer" not in render(verdict)


def test_the_trials_page_shows_a_question_with_what_the_arms_answered_and_each_grade(simulated: ModuleType) -> None:
    outcome, verdict, rows = made(simulated, written)
    (example,) = AnswerPages(outcome, verdict, exam_of(rows)).examples()
    assert example.given[0][0] == "the frozen model"
    text = unescape(render(verdict, examples=[example]))
    assert "Right answer: <b>gold</b>" in text
    assert re.search(
        r"<b>said-frozen-\d+</b>, (right|wrong) <span class=\"soft\">\(exact match \w+, contains yes, F1 0.50\)", text
    )


def test_what_training_fixed_and_broke_is_said_beside_the_answer(simulated: ModuleType) -> None:
    def change(row: Row) -> Row:
        if not isinstance(row, Adaptation):
            return row
        right = row.arm == "frozen"
        return row.model_copy(update={"answers": tuple(a.model_copy(update={"correct": right}) for a in row.answers)})

    outcome, verdict, _ = made(simulated, change)
    text = AnswerPages(outcome, verdict, []).render()["problem-0001.html"]
    assert '<span class="change-broken">broken</span>' in text
    assert '<span class="change-fixed">fixed</span>' not in text


def test_a_large_problem_is_cut_into_pieces_and_nothing_is_lost(
    simulated: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome, verdict, rows = made(simulated, written)
    monkeypatch.setattr(answers_view, "PIECE", 2_000)
    files = AnswerPages(outcome, verdict, exam_of(rows)).render()
    pieces = [text for name, text in sorted(files.items()) if name.startswith("problem-0001")]
    assert len(pieces) > 2
    everything = "".join(pieces)
    for row in rows:
        if isinstance(row, Adaptation) and f"<h1>On {row.problem}</h1>" in everything:
            assert everything.count(f"wrote-{row.arm}-{row.seed}-{row.problem}<") >= 1
    linked = {href for text in pieces for href in re.findall(r'href="(problem-0001[^"#]*)"', text)}
    assert linked <= files.keys()


def looping(row: Row) -> Row:
    if not isinstance(row, Investment):
        return row
    context = (
        RewardedEdit(problem="p", text="the winner", scores=(0.5, 1.0), kept=True),
        RewardedEdit(problem="p", text=HOSTILE, scores=(0.25,)),
        RewardedEdit(problem="p", text="never tried"),
    )
    return row.model_copy(update={"edits": (EditRound(round=1, contexts=(context,)),)})


def test_an_outer_loops_page_says_which_edit_won_with_which_rewards(simulated: ModuleType) -> None:
    outcome, verdict, _ = made(simulated, looping)
    files = AnswerPages(outcome, verdict, []).render()
    text = files["loop-001.html"]
    won, lost, untried = text.split('<div class="candidate')[1:4]
    assert ">kept</span> <b>0.75</b>" in won
    assert "(0.5, 1)" in won
    assert "the winner" in won
    assert "not kept</span> <b>0.25</b>" in lost
    assert "not evaluated" in untried
    assert 'href="loop-001.html"' in files["index.html"]


def test_a_kept_record_has_its_questions_again_where_a_domain_that_ships_makes_them_up() -> None:
    store = Store(RESULTS / "people-plain")
    spec, _ = store.asked()
    asked = {one.question for problem in read_exam(store.folder, spec) for one in problem.questions}
    rows = (row for row in read_rows(store.folder / "samples.jsonl.xz") if isinstance(row, Adaptation))
    assert {answer.question for answer in next(rows).answers} <= asked


def test_a_damaged_exam_file_is_one_line_and_a_domain_of_ones_own_is_not_run(tmp_path: Path) -> None:
    spec, _ = Store(RESULTS / "hostile-rivals").asked()
    domain = next(iter(spec.domains))
    own = {domain: spec.domains[domain].model_copy(update={"kind": str(tmp_path / "mine.py:Mine")})}
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    assert read_exam(tmp_path, spec.model_copy(update={"domains": own})) == []
    assert not (tmp_path / "ran").exists()
    (tmp_path / EXAM_FILE).write_text('{"domain": 3}\n')
    with pytest.raises(InputError, match="is damaged"):
        read_exam(tmp_path, spec)


def hostile(row: Row) -> Row:
    if isinstance(row, Investment):
        return looping(row)
    if not isinstance(row, Adaptation):
        return row
    answers = tuple(GradedAnswer.model_copy(one, update={"text": HOSTILE}) for one in row.answers)
    edits = (WrittenText(purpose="propose", text=f"{HOSTILE} needle"),)
    return row.model_copy(update={"answers": answers, "edits": edits, "error": HOSTILE})


@pytest.mark.browser
def test_answers_are_searched_from_the_index_to_the_text_and_hostile_text_stays_inert(
    browser: Any, simulated: ModuleType, tmp_path: Path
) -> None:
    outcome, verdict, rows = made(simulated, hostile)
    for name, text in AnswerPages(outcome, verdict, exam_of(rows, HOSTILE, HOSTILE)).render().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    context = browser.new_context(viewport={"width": 1000, "height": 800})
    context.set_default_timeout(10_000)
    page, troubles = context.new_page(), list[str]()
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda one: None if one.url.startswith(tmp_path.as_uri()) else troubles.append(one.url))
    page.goto((tmp_path / "index.html").as_uri())
    page.locator("#find").fill("needle")
    assert page.locator("tr.hit >> visible=true").count() == 4
    page.locator("#find").fill("haystack")
    assert page.locator("#nothing").is_visible()
    page.locator("#find").fill("needle")
    page.locator("tr.hit a >> visible=true").first.click()
    assert page.locator("#find").input_value() == "needle"
    shown = page.locator(".hit >> visible=true").all_inner_texts()
    assert shown
    assert all("needle" in text for text in shown)
    page.goto((tmp_path / "loop-001.html").as_uri())
    assert page.locator(".candidate.kept").count() == 1
    assert page.evaluate("window.PWNED") is None
    assert page.locator("img").count() == 0
    context.close()
    assert troubles == []
