"""ARC's files become problems: both layouts alike, no task in two splits, what is wrong told in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from netgain.domains.arc import SEAL_TEST, SEAL_TRAIN, SEAL_UNUSED, Arc, ArcSettings, read_tasks
from netgain.domains.augment import flipped
from netgain.domains.grid import read_question, written
from netgain.domains.leakage import leaks
from netgain.domains.problem import Problem
from netgain.domains.reading import Shares
from netgain.errors import InputError
from netgain.exam.exam import Answerer, Marked, sit
from netgain.metering.account import Book
from netgain.model import Generate, scripted_model
from netgain.model.program import run
from netgain.records.cost import Purpose
from netgain.tokens import EstimatedTokens
from netgain.trials.resolve import resolve
from netgain.trials.task_costs import measured

Tasks = dict[str, Any]
TRIAL: dict[str, Any] = {
    "model": "meta-llama/Llama-3.2-1B-Instruct",
    "problems": {"train": 0, "development": 0, "test": 4},
    "budget": {"per_problem": 1e15},
    "arms": {"frozen": {"method": "frozen"}, "trained": {"method": "finetune"}},
    "compare": {"arm": "trained", "against": "frozen", "exam": "few-shot"},
    "exam": {"controls": 0, "drift": 0},
    "tuning": {"trials": 0},
}
SPLITS: Any = ("train", "development", "test")


def tasks(count: int = 10, first: int = 0) -> Tasks:
    """Tasks with their outputs: grids are turned upside down; every third task has two test inputs."""
    made = {}
    for number in range(first, first + count):
        grids = np.random.default_rng(number).integers(0, 10, size=(5, 2, 3)).tolist()
        pairs = [{"input": grid, "output": grid[::-1]} for grid in grids]
        made[f"t{number:03}"] = {"train": pairs[:3], "test": pairs[3 : 5 if number % 3 == 0 else 4]}
    return made


def single(folder: Path, made: Tasks, name: str = "arc_challenges.json") -> Path:
    """The layout of the ARC prize: challenges, and solutions beside them."""
    folder.mkdir(exist_ok=True)
    hidden = {
        key: {"train": task["train"], "test": [{"input": test["input"]} for test in task["test"]]}
        for key, task in made.items()
    }
    (folder / name).write_text(json.dumps(hidden))
    outputs = {key: [test["output"] for test in task["test"]] for key, task in made.items()}
    (folder / name.replace("challenges", "solutions")).write_text(json.dumps(outputs))
    return folder / name


def ids(domain: Arc, split: Any) -> list[str]:
    return [task.id for task in domain._pools[split]]


def test_both_layouts_are_read_alike(tmp_path: Path) -> None:
    made = tasks()
    (tmp_path / "folder").mkdir()
    for name, task in made.items():
        (tmp_path / "folder" / f"{name}.json").write_text(json.dumps(task))
    (tmp_path / "folder" / ".hidden.json").write_text("{")
    (tmp_path / "all.json").write_text(json.dumps(made))
    path = single(tmp_path, made)
    one = read_tasks(path, tmp_path / "arc_solutions.json")
    assert one == read_tasks(tmp_path / "folder") == read_tasks(tmp_path / "all.json")
    assert read_tasks(tmp_path / "folder" / "t003.json") == one[3:4]
    assert [len(task.tests) for task in one[:4]] == [2, 1, 1, 2]
    assert one[1].tests[0].output == tuple(map(tuple, made["t001"]["test"][0]["output"]))


def test_it_is_a_domain_whose_solutions_lie_beside_its_challenges(tmp_path: Path) -> None:
    settings = ArcSettings(path=single(tmp_path, tasks()), shares=Shares(train=0, development=0, test=1))
    assert settings.solutions == tmp_path / "arc_solutions.json"
    assert ArcSettings(path=tmp_path / "x.json").solutions is None
    domain = Arc(settings)
    problem = next(one for one in domain.problems("test", 10, 0) if one.id == "t003")
    (question,) = problem.questions
    right = [part.answers[0] for part in question.asked]
    assert len(right) == 2
    assert all(domain.grade(part, answer).correct for part, answer in zip(question.asked, right, strict=True))
    assert not domain.grade(question.asked[0], right[1]).correct
    assert domain.few_shot.attempts == 2  # type: ignore[union-attr]
    assert len(domain.few_shot.views(question.asked[0])) > 5  # type: ignore[union-attr]
    greedy = Arc(settings.model_copy(update={"prediction": "greedy", "attempts": 1}))
    assert [view.text for view in greedy.few_shot.views(question.asked[0])] == [question.asked[0].text]  # type: ignore[union-attr]


def test_no_task_is_in_two_splits_and_seeds_repeat(tmp_path: Path) -> None:
    domain = Arc(ArcSettings(path=single(tmp_path, tasks(20))))
    parts = {split: ids(domain, split) for split in (*SPLITS, "controls")}
    assert sorted(name for some in parts.values() for name in some) == sorted(tasks(20))
    assert {split: len(some) for split, some in parts.items()} == {
        "train": 8,
        "development": 2,
        "test": 8,
        "controls": 2,
    }
    assert domain.problems("test", 8, 1) == domain.problems("test", 8, 1) != domain.problems("test", 8, 2)
    assert domain.problems("test", 8, 1)[:3] == domain.problems("test", 3, 1)
    other = Arc(ArcSettings(path=tmp_path / "arc_challenges.json", order_seed=1))
    assert ids(other, "test") != parts["test"]
    with pytest.raises(InputError, match="9 test problems: there are 8"):
        domain.problems("test", 9, 0)


def test_a_file_to_learn_on_gives_what_the_exam_does_not_share(tmp_path: Path) -> None:
    exam, learn = tasks(10), tasks(30, first=8)  # t008 and t009 are in both
    learn["t030"]["train"][0] = exam["t001"]["test"][0]  # and a pair that is asked for
    settings = ArcSettings(
        path=single(tmp_path / "exam", exam),
        train_path=single(tmp_path / "learn", learn),
        shares=Shares(test=1, train=0),
    )
    domain = Arc(settings)
    assert set(ids(domain, "test")) == set(exam)
    assert len(ids(domain, "train")) + len(ids(domain, "development")) == 27
    assert not {"t008", "t009", "t030"} & {*ids(domain, "train"), *ids(domain, "development")}
    (note,) = domain.notes
    assert note.startswith("3 tasks of ")
    both = [domain.problems(split, 5, 0) for split in ("development", "test")]
    assert leaks((), *both, few_shot=domain.few_shot) == ()


def test_pairs_that_two_splits_share_are_a_leak_and_noughts_in_a_row_are_none(tmp_path: Path) -> None:
    blank = {"input": [[0] * 20] * 3, "output": [[1] * 20]}
    made = tasks(4)
    for number, task in enumerate(made.values()):
        task["train"] = [blank | {"output": [[number] * 20]}, *task["train"]]
    whole = Shares(train=0.5, development=0, test=0.5)
    domain = Arc(ArcSettings(path=single(tmp_path / "a", made), shares=whole))
    splits = domain.problems("train", 2, 0), (), domain.problems("test", 2, 0)
    assert leaks(*splits, few_shot=domain.few_shot) == ()
    assert {leak.kind for leak in leaks(*splits)} == {"overlap"}  # as they would be if they were passages


def changed(change: Callable[[Tasks], object]) -> Tasks:
    made = json.loads(json.dumps(tasks(3)))  # or an input and its output would be made of the same rows
    change(made)
    return made


def pair(made: Tasks, number: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = made["t001"]["train"][number]
    return found


MISTAKES: dict[str, tuple[Callable[[Tasks], object], str]] = {
    "ragged": (lambda made: pair(made)["input"][1].pop(), "all.json: t001: pair 1: input: row 2 has 2 cells"),
    "colour": (
        lambda made: pair(made, 1)["output"][0].__setitem__(2, 10),
        "t001: pair 2: output: row 1 has the cell 10",
    ),
    "negative": (lambda made: pair(made)["input"][0].__setitem__(0, -1), "row 1 has the cell -1"),
    "true": (lambda made: pair(made)["input"][0].__setitem__(0, True), "row 1 has the cell True"),
    "text": (lambda made: pair(made)["input"][0].__setitem__(0, "1"), "row 1 has the cell '1'"),
    "large": (lambda made: pair(made).update(input=[[1] * 31]), "t001: pair 1: input: row 1"),
    "no rows": (lambda made: pair(made).update(input=[]), r"t001: pair 1: input: \[\] is no grid"),
    "no output": (lambda made: pair(made).pop("output"), "t001: pair 1: it has no output"),
    "no pairs": (lambda made: made["t001"].update(train=[]), r"t001: train = \[\] is no list of one or more"),
    "no tests": (lambda made: made["t001"].pop("test"), "t001: test = None is no list of one or more"),
    "no task": (lambda made: made.update(t001=[1, 2]), "t001: train = None is no list"),
    "no pair": (lambda made: made["t001"]["train"].append(3), "t001: pair 4: it is 3"),
    "no solution": (
        lambda made: made["t001"]["test"][0].pop("output"),
        "t001: test 1: it has no output; give the file of solutions",
    ),
    "twice": (lambda made: made["t001"]["train"].append(pair(made)), "t001: pair 4 has the same input as pair 1"),
    "answer shown": (
        lambda made: made["t001"]["test"].append(pair(made, 2)),
        "t001: test 2 has the same input as pair 3",
    ),
    "same task": (
        lambda made: made.update(t009={"train": made["t001"]["train"][::-1], "test": made["t002"]["test"]}),
        "t009: it has the same pairs as t001; keep one",
    ),
    "nothing": (lambda made: made.clear(), "all.json: no tasks are in it; give a file of challenges"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_with_file_task_and_rule(name: str, tmp_path: Path) -> None:
    change, message = MISTAKES[name]
    (tmp_path / "all.json").write_text(json.dumps(changed(change)))
    with pytest.raises(InputError, match=message) as error:
        Arc(ArcSettings(path=tmp_path / "all.json"))
    assert str(error.value).startswith(str(tmp_path / "all.json"))
    assert "\n" not in str(error.value)
    assert error.value.remedy


def test_solutions_that_are_missing_too_few_or_others_are_refused(tmp_path: Path) -> None:
    path = single(tmp_path, tasks(4))
    solutions = tmp_path / "arc_solutions.json"
    outputs = json.loads(solutions.read_text())
    for change, message in (
        ({"t001": []}, "t001: 0 outputs in .*arc_solutions.json for 1 test inputs"),
        ({"t000": outputs["t000"][:1]}, "t000: 1 outputs in .* for 2 test inputs"),
        ({"t002": None}, "t002: no list of outputs in"),
        ({"t002": [[[1, 2], [3]]]}, "arc_solutions.json: t002: row 2 has 1 cells"),
    ):
        solutions.write_text(json.dumps(outputs | change))
        with pytest.raises(InputError, match=message):
            read_tasks(path, solutions)
    solutions.write_text("[]")
    with pytest.raises(InputError, match=r"arc_solutions.json: it is \[\], no outputs by id"):
        read_tasks(path, solutions)
    solutions.unlink()
    with pytest.raises(InputError, match=r"arc_solutions.json: cannot be read \(No such file"):
        Arc(ArcSettings(path=path))
    both = tmp_path / "both.json"
    both.write_text(json.dumps(tasks(4)))
    solutions.write_text(json.dumps(outputs | {"t001": [[[0]]]}))
    with pytest.raises(InputError, match="t001: test 1: its output is not the one in"):
        read_tasks(both, solutions)
    solutions.write_text(json.dumps(outputs | {"another": [[[0]]]}))  # solutions of a longer list are no mistake
    assert read_tasks(both, solutions) == read_tasks(both)


def test_files_that_are_no_tasks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "all.json"
    for text, message in (
        ("{", r"all.json:1: is not JSON"),
        ("[1]", r"it is \[1\], no tasks by id"),
        ('{"a": {}, "a": {}}', "'a' stands in one object twice"),
        ("\ud800", "is not UTF-8"),
    ):
        path.write_bytes(text.encode("utf-16" if text == "\ud800" else "utf-8", "surrogatepass"))
        with pytest.raises(InputError, match=message):
            read_tasks(path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no tasks are in it"):
        read_tasks(tmp_path / "empty")
    with pytest.raises(InputError, match="cannot be read"):
        read_tasks(tmp_path / "absent.json")


def test_settings_have_limits(tmp_path: Path) -> None:
    for wrong in ({"attempts": 0}, {"attempts": 4}, {"prediction": "best"}, {"order": "sael"}, {"max_tokens": 0}):
        with pytest.raises(ValidationError):
            ArcSettings.model_validate({"path": tmp_path, **wrong})


def solved(text: str) -> str:
    """The answer to a form of one of these tasks: upside down, or mirrored where the form is turned by a quarter."""
    question = read_question(text)
    assert question is not None
    examples, asked = question
    mirrored = all(pair.output == flipped(pair.input, 1) for pair in examples)
    return written(flipped(asked, 1 if mirrored else 0))


def examined(folder: Path, domain: Arc, problem: Problem, right: set[tuple[int, str]]) -> Marked:
    """The mark of a model that answers only some parts and forms of the question, these rightly."""
    (question,) = problem.questions
    shots = domain.few_shot
    assert shots is not None
    forms = {view.text: (n, view.category) for n, part in enumerate(question.asked) for view in shots.views(part)}

    def said(request: Generate) -> str:
        return solved(str(request.prompt)) if forms[str(request.prompt)] in right else "0 0"

    with Book.open(folder / "exam.journal") as book:
        account = book.account("exam").under(Purpose.EVALUATE)
        answerer = Answerer(model=scripted_model(said))
        steps = sit(answerer, [question], domain.prompts, account, domain.grade, few_shot=shots)
        ((_, ended),) = run({0: steps})
    assert ended.error is None
    (mark,) = ended.value
    assert isinstance(mark, Marked)
    return mark


def test_a_task_is_right_where_one_of_two_attempts_is_for_every_test_input(tmp_path: Path) -> None:
    domain = Arc(ArcSettings(path=single(tmp_path, tasks(4)), shares=Shares(train=0, development=0, test=1)))
    problem = next(one for one in domain.problems("test", 4, 0) if one.id == "t003")
    first, second = (part.answers[0] for part in problem.questions[0].asked)
    everywhere = {(0, form) for form in ("identity", "transpose", "flip 0", "flip 1", "rotate 90", "rotate 180")}
    one_form = examined(tmp_path, domain, problem, everywhere | {(1, "transpose")})
    assert one_form.grade.correct
    assert one_form.attempts[0][0] == first
    assert second in one_form.attempts[1][1:]  # only the second attempt is right
    assert not examined(tmp_path, domain, problem, everywhere).grade.correct  # one test input of two
    assert not examined(tmp_path, domain, problem, {(1, "identity")}).grade.correct


def test_a_plan_takes_a_cell_and_its_space_for_two_tokens(tmp_path: Path) -> None:
    """Prose would have 4.6 characters a token, and the plan of a trial on grids a fifth of its cost."""
    path = single(tmp_path, tasks(10))
    trial = resolve({"name": "a", "domains": {"arc": {"kind": "arc", "path": str(path)}}, **TRIAL})
    domain = trial.domains["arc"]
    lengths = measured(domain, trial.prompts("arc"), trial.spec, EstimatedTokens())
    # a grid of 2 rows and 3 columns: 6 cells, 5 characters between them, no more at its end; three pairs of two
    assert lengths.passage == 3 * (len("Input:\n\nOutput:\n\n\n") + 2 * 11)
    assert lengths.answer == 11 + 1
    assert lengths.longest == 11 + 8
    assert lengths.how == "those of Arc, estimated at 1 character a token"
    assert EstimatedTokens().how == "estimated at 4.6 characters a token"


def named(names: tuple[str, ...], first: int) -> Tasks:
    return dict(zip(names, tasks(len(names), first).values(), strict=True))


def test_seals_selection_is_taken_in_its_order(tmp_path: Path) -> None:
    exam, learn = named((*SEAL_UNUSED[1:], *SEAL_TEST[::-1]), 0), named((*SEAL_TRAIN, SEAL_UNUSED[0], "0" * 8), 50)
    paths = {"path": single(tmp_path / "e", exam), "train_path": single(tmp_path / "l", learn)}
    domain = Arc(ArcSettings(**paths, order="seal"))
    assert [problem.id for problem in domain.problems("test", 8, 5)] == list(SEAL_TEST)
    assert [problem.id for problem in domain.problems("train", 11, 5)] == list(SEAL_TRAIN)
    assert {problem.id for problem in domain.problems("development", 3, 5)} == set(SEAL_UNUSED)
    with pytest.raises(InputError, match="there is no train_path"):
        Arc(ArcSettings(path=paths["path"], order="seal"))
    swapped = ArcSettings(path=paths["train_path"], train_path=paths["path"], order="seal")
    with pytest.raises(InputError, match="SEAL's task 59341089 is not in it"):
        Arc(swapped)


def test_the_real_training_tasks_are_read_whole(real_arc: Path) -> None:
    domain = Arc(ArcSettings(path=real_arc / "arc-agi_training_challenges.json"))
    pools = [task for split in (*SPLITS, "controls") for task in domain._pools[split]]
    assert len(pools) == 400
    assert sum(len(task.tests) for task in pools) == 416
    (task,) = [task for task in pools if task.id == "007bbfb7"]
    assert len(task.examples) == 5
    assert written(task.examples[0].input) == "0 7 7\n7 7 7\n0 7 7"


def test_seals_real_lists_give_its_tasks(real_arc: Path) -> None:
    domain = Arc(
        ArcSettings(
            path=real_arc / "arc-agi_evaluation_challenges_filtered_1B_eval_set.json",
            train_path=real_arc / "arc-agi_training_challenges_filtered_1B_training_set.json",
            order="seal",
        )
    )
    splits = [domain.problems(split, count, 0) for split, count in zip(SPLITS, (11, 3, 8), strict=True)]
    assert leaks(*splits, few_shot=domain.few_shot) == ()
    two = [problem.id for problem in splits[2] if len(problem.questions[0].asked) == 2]
    assert two == ["b1fc8b8e"]
    assert all(domain.few_shot.lessons(p.material, (), 0) for some in splits for p in some)  # type: ignore[union-attr]
