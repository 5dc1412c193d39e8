"""A launch does every unit once, whatever happens in between, and the same trial gives the same bytes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from netgain.domains.problem import Material, Problem, Split
from netgain.errors import InputError
from netgain.exam.exam import Answerer, Judge
from netgain.metering.account import Book
from netgain.metering.verification import verify
from netgain.methods.method import Desk, Learned, Method
from netgain.model.metered import Model
from netgain.model.program import Steps
from netgain.model.requests import Generate
from netgain.model.scripted import scripted_model
from netgain.records.claim import Role
from netgain.records.cost import Purpose
from netgain.records.samples import Adaptation, Investment, Row, Tuning, read_rows
from netgain.strict_yaml import SourceLines
from netgain.trials.context import RunContext
from netgain.trials.resolve import Trial, resolve_spec
from netgain.trials.run import run_arm
from netgain.trials.schedule import TrialResult, run_trial
from netgain.trials.store import LOCK, SAMPLES
from netgain.trials.tasks import Task, tasks
from netgain.trials.trial_claim import claim_of
from tests.trials import world


def rows_of(folder: Path, **changes: Any) -> list[Row]:
    assert world.run(folder, world.spec(**changes)).failed == {}
    return read_rows(folder / SAMPLES)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """The rows of one whole trial."""
    return rows_of(tmp_path_factory.mktemp("run"))


def adaptations(rows: list[Row], arm: str) -> list[Adaptation]:
    return [row for row in rows if isinstance(row, Adaptation) and row.arm == arm]


def test_every_arm_adapts_to_every_problem_at_every_rung_under_every_seed(rows: list[Row]) -> None:
    for arm in world.ARMS:
        seen = {(row.seed, row.rung, row.problem) for row in adaptations(rows, arm)}
        assert len(seen) == len(adaptations(rows, arm)) == 2 * 3 * 4
    invested = [(row.seed, row.rung, row.deployments) for row in rows if isinstance(row, Investment)]
    assert invested == [(seed, level, 4) for seed in (0, 1) for level in (0.5, 1.0, 2.0)]
    assert sum(isinstance(row, Tuning) for row in rows) == 3


def test_no_budget_is_exceeded_and_all_of_it_is_used(rows: list[Row]) -> None:
    for row in rows:
        if isinstance(row, Adaptation | Investment):
            spent = sum(amounts["flops"] for amounts in row.spent.values())
            assert spent == (0 if row.arm == "frozen" else row.budget)


def test_trained_arms_know_what_the_frozen_one_does_not(rows: list[Row]) -> None:
    right = {
        arm: [a.correct for row in adaptations(rows, arm) for a in row.answers if a.kind != "skill"]
        for arm in world.ARMS
    }
    assert not any(right["frozen"])
    assert all(right["passage"])
    assert all(right["edits"])


def test_controls_are_asked_where_the_trial_says_and_outside_the_budget(rows: list[Row]) -> None:
    for row in adaptations(rows, "passage"):
        kinds = [answer.kind for answer in row.answers]
        assert kinds == ["knowledge", "reasoning", *(["skill"] * 2 if row.rung == 1 else [])]
        assert row.evaluated["flops"] == len(kinds)


def test_an_arm_that_reads_is_asked_control_questions_without_the_passage_and_once_where_nothing_was_trained(
    tmp_path: Path,
) -> None:
    class Reads(Method):
        role = Role.IN_CONTEXT

        def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
            yield from ()
            return Answerer(model=desk.model, context=tuple(materials))

    asked: list[str] = []

    def answer(request: Generate) -> str:
        asked.append(str(request.prompt))
        return world.answer(request)

    def find(name: str, folder: Path | None = None) -> type[Method]:
        return Reads if name == "reads" else world.find_method(name, folder)

    spec = world.spec(world.ARMS | {"reads": {"method": "reads"}}, exam={"controls": 2, "drift": 1})
    trial = resolve_spec(spec, SourceLines("trial"), find, world.find_domain)
    run_trial(trial, tmp_path, load=lambda *_: scripted_model(answer, name="scripted"), device="cpu")
    rows = adaptations(read_rows(tmp_path / SAMPLES), "reads")
    for seed in (0, 1):
        own = [row for row in rows if row.seed == seed and row.rung == 1]
        kinds = [[answer.kind for answer in row.answers] for row in own]
        assert kinds == [["knowledge", "reasoning", "skill", "skill"], *([["knowledge", "reasoning"]] * 3)]
        assert all(answer.correct for row in own for answer in row.answers)
        assert {row.divergence for row in own} == {0.0}
    assert "Q: What is 1 and one?" in asked
    assert not any("What is" in prompt and "town of" in prompt for prompt in asked)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        rows_of(tmp_path / name, seed=seed)
    texts = {name: [(tmp_path / name / file).read_bytes() for file in (SAMPLES, LOCK)] for name in "abc"}
    assert texts["a"] == texts["b"]
    assert texts["a"][0] != texts["c"][0]


def test_running_again_does_nothing_but_report(tmp_path: Path) -> None:
    first = world.run(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("journal")}

    def never(trial: Trial, device: str) -> Model:
        raise AssertionError("the model was loaded")

    again = world.run(tmp_path, load=never)
    assert again.finished == first.finished
    assert again.repeated == len(first.finished)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("journal")} == before


class Killed(BaseException):
    """Stands for the end of the process: nothing that netgain catches."""


def dying(after: int) -> Callable[[Trial, str], Model]:
    calls = 0

    def answer(request: Generate) -> str:
        nonlocal calls
        calls += 1
        if calls > after:
            raise Killed
        return world.answer(request)

    return lambda trial, device: scripted_model(answer)


def interrupted(folder: Path, after: int) -> TrialResult:
    with pytest.raises(Killed):
        world.run(folder, load=dying(after))
    return world.run(folder)


def test_a_trial_that_was_cut_off_goes_on_with_the_same_bytes_and_keeps_what_was_lost(tmp_path: Path) -> None:
    world.run(tmp_path / "whole")
    done = interrupted(tmp_path / "cut", after=150)
    assert done.repeated > 0
    assert done.failed == {}
    for file in (SAMPLES, LOCK):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "cut" / file).read_bytes()
    lost = [
        charge for path in (tmp_path / "cut").rglob("journal") for charge in verify(path).charges if not charge.useful
    ]
    assert lost
    assert all(verify(path).ok for path in (tmp_path / "cut").rglob("journal"))


def test_a_finished_unit_is_not_repeated_after_a_cut(tmp_path: Path) -> None:
    interrupted(tmp_path, after=150)
    begun = {task.name: (tmp_path / "units" / task.name / "unit.json").read_text() for task in tasks(world.spec())}
    assert sorted({text.count('"attempts": 2') for text in begun.values()}) == [0, 1]
    assert sum('"attempts": 2' in text for text in begun.values()) == 1


def test_another_trial_in_the_same_folder_is_refused_by_name(tmp_path: Path) -> None:
    world.run(tmp_path)
    other = world.spec(budget={"per_problem": 4, "ladder": [1, 2]})
    with pytest.raises(InputError, match=r"what differs: primary, trial.budget.ladder, trial.budget.per_problem"):
        world.run(tmp_path, other)


def test_a_method_that_fails_is_data(tmp_path: Path) -> None:
    arms = {**world.ARMS, "passage": {"method": "passage", "fails": True}}
    rows = adaptations(rows_of(tmp_path, arms=arms), "passage")
    failed = [row for row in rows if row.problem.endswith("n1")]
    assert {row.status for row in failed} == {"failed"}
    assert all("cannot be read" in row.error and not any(a.correct for a in row.answers) for row in failed)
    assert {row.status for row in rows if row not in failed} == {"ok"}


def test_passages_adapted_to_at_once_share_the_budget_and_get_a_row_each(tmp_path: Path) -> None:
    counts = {"train": 4, "development": 2, "test": 4, "passages": 2}
    rows = adaptations(rows_of(tmp_path, problems=counts), "passage")
    assert {(row.budget, row.spent["adapt"]["flops"]) for row in rows if row.rung == 1} == {(8.0, 8.0)}  # type: ignore[index]
    assert len(rows) == 2 * 3 * 4


def test_rows_that_were_changed_are_noticed(tmp_path: Path) -> None:
    world.run(tmp_path)
    path = next(tmp_path.rglob("run-towns-frozen-0/rows.jsonl"))
    path.write_text(path.read_text().replace("unknown", "known"))
    with pytest.raises(InputError, match="other rows than were written"):
        world.run(tmp_path)


def test_a_judge_is_asked_about_every_answer_outside_the_budget(tmp_path: Path) -> None:
    def judge(request: Generate) -> str:
        assert request.account.opened.purpose == "evaluate"
        return "yes" if "runknown" in str(request.prompt) else "no"

    with Book.open(tmp_path / "journal") as book:
        task = Task("run", "towns", "passage", 0)
        towns, judging = world.Towns(), scripted_model(judge)
        context = RunContext(
            spec=world.spec(),
            task=task,
            domain=towns,
            prompts=towns.prompts,
            model=world.model(),
            book=book,
            judge=Judge(judging),
        )
        rows = run_arm(context, world.Passage())
    answers = [answer for row in rows if isinstance(row, Adaptation) for answer in row.answers]
    assert {answer.judged for answer in answers} == {False}


def test_a_level_is_a_total_that_an_arm_that_learns_divides(rows: list[Row]) -> None:
    """Over the problems that share it, what was invested and what was spent add up to the level."""
    for row in adaptations(rows, "edits"):
        invested = [one for one in rows if isinstance(one, Investment) and one.rung == row.rung]
        assert {one.budget for one in invested} == {0.5 * row.rung * 8 * 4}
        assert row.budget == 0.5 * row.rung * 8
        assert row.deployments == 4
    assert {row.deployments for row in adaptations(rows, "passage")} == {None}


def test_an_arm_that_learns_learns_in_its_tuning(rows: list[Row]) -> None:
    """What is tuned is what the arm then does, and all of it is charged: two tries, each with its investment."""
    (tuning,) = (row for row in rows if isinstance(row, Tuning) and row.arm == "edits")
    learned, adapted, examined = 0.5 * 8 * 4, 0.5 * 8, 2
    assert tuning.spent[Purpose.TUNE]["flops"] == 2 * (learned + 2 * (adapted + examined))
    claim = claim_of(world.spec(), rows, {"edits": Role.SELF_IMPROVING})
    charged = sum(charge.cost.flops or 0 for charge in claim.charges if charge.arm == "towns/edits tuning")
    assert charged == tuning.spent[Purpose.TUNE]["flops"]


def test_on_the_curve_learners_invest_anew_and_nobody_else_runs(tmp_path: Path) -> None:
    curve = {"deployments": [10, 20], "arms": ["edits"], "seeds": 1}
    asked = world.spec(budget={"per_problem": 8, "ladder": [0.5, 1], "curve": curve})
    world.run(tmp_path, asked)
    rows = read_rows(tmp_path / "samples.jsonl")
    further = [row for row in rows if isinstance(row, Investment) and row.deployments != 4]
    assert [(row.seed, row.rung, row.deployments, row.budget) for row in further] == [
        (0, 1.0, 10, 40),
        (0, 1.0, 20, 80),
    ]
    assert {row.arm for row in rows if isinstance(row, Adaptation) and row.deployments in (10, 20)} == {"edits"}
    claim = claim_of(asked, rows, {"edits": Role.SELF_IMPROVING})
    names = {arm.name: arm.trial for arm in claim.arms if arm.trial and arm.trial.method == "edits"}
    assert {name: (found.own, found.deployments) for name, found in names.items()} == {
        "towns/edits@0.5": (False, 4),
        "towns/edits@1": (True, 4),
        "towns/edits@1/10": (False, 10),
        "towns/edits@1/20": (False, 20),
    }
    assert claim.terms is not None
    assert (claim.terms.deployments, claim.terms.curve) == (4, (10, 20))
    assert claim.terms.runs_done == claim.terms.runs_planned == 2 * 3 + 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"compare": {"arm": "edits", "exam": "knowlege"}}, "did you mean 'knowledge'"),
        ({"problems": {"train": 4, "development": 2, "test": 4000}}, "test problems"),
        ({"domains": {"towns": {"kind": "leaky"}}}, "the exam leaks: test:"),
    ],
)
def test_what_no_unit_could_do_is_said_before_any_begins(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    class Few(world.Towns):
        def problems(self, split: Split, count: int, seed: int) -> tuple[Problem, ...]:
            if count > 1000:
                raise InputError(f"{count} {split} problems", "there are 1000")
            return super().problems(split, count, seed)

    class Leaky(world.Towns):
        def problems(self, split: Split, count: int, seed: int) -> tuple[Problem, ...]:
            return super().problems("test" if split == "train" else split, count, seed)

    def find_domain(kind: str, folder: Path) -> Any:
        return {"towns": Few, "leaky": Leaky}[kind]

    trial = resolve_spec(world.spec(**changes), SourceLines("trial"), world.find_method, find_domain)
    with pytest.raises(InputError, match=message):
        run_trial(trial, tmp_path, load=world.load, device="cpu")
    assert not (tmp_path / LOCK).exists()


def test_no_charge_of_a_run_is_in_no_row(tmp_path: Path) -> None:
    """What a page says a method took is what its journals say, streams and development problems included."""
    rows = rows_of(tmp_path, exam={"controls": 2, "drift": 0, "stream": 2})
    claim = claim_of(world.spec(), rows, {"edits": Role.SELF_IMPROVING})
    charged = sum(charge.cost.flops or 0 for charge in claim.charges)
    booked = sum(charge.cost.flops or 0 for path in tmp_path.glob("units/*/journal") for charge in verify(path).charges)
    assert charged == booked


def test_two_arms_never_share_a_folder() -> None:
    domains = {"a": {"kind": "towns"}, "a-b": {"kind": "towns"}}
    arms = {"c": {"method": "edits"}, "b-c": {"method": "edits"}}
    with pytest.raises(ValueError, match="would share a folder"):
        world.spec(arms, domains=domains, compare={"arm": "c"})
    with pytest.raises(ValueError, match="seed"):
        world.spec(seed=-1)
