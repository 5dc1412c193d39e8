"""ARC-AGI's files as problems: a task is one problem, and no task is in two splits (Chollet 2019, arXiv 1911.01547).

Two layouts: one file of challenges with one of solutions, as in the ARC prize (``{"ID": {"train": [{"input": ...,
"output": ...}], "test": [{"input": ...}]}}`` and ``{"ID": [output, ...]}``), or a folder with a file for each task,
whose tests have their outputs with them. All is read when the domain is made, so that what is wrong is said then.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, final

from pydantic import Field, model_validator

from netgain.domains.domain import Domain, DomainSettings
from netgain.domains.grid import Grid, GridTask, Shown, check_grid, written
from netgain.domains.grid_shots import GRID_PROMPTS, MAX_TOKENS, GridShots, grade_grid, grid_problem
from netgain.domains.problem import Grade, Problem, Question, Split
from netgain.domains.reading import PARTS, Part, Shares, check_count, read_json, share_out, take
from netgain.domains.voting import ATTEMPTS
from netgain.errors import InputError, shown

# SEAL's few-shot experiment (arXiv 2506.10943): the tasks whose edits its released commands train and those that they
# examine. Its lists name three more; benchmarks/seal_arc.py counts why they are not reached.
SEAL_TRAIN = (
    *("44f52bb0", "4be741c5", "5582e5ca", "5614dbcf", "5bd6f4ac", "6150a2bd", "67e8384a", "6d0aefbc", "6e02f1e3"),
    *("8be77c9e", "8d5021e8"),
)
SEAL_TEST = ("59341089", "66e6c45b", "68b67ca3", "903d1b4a", "b1fc8b8e", "bc4146bd", "c7d4e6ad", "ce8d95cc")
SEAL_UNUSED = ("8e1813be", "358ba94e", "af24b4cc")

FORM = '{"train": [{"input": grid, "output": grid}, ...], "test": [{"input": grid}, ...]}'
REMEDY = f"a task is {FORM}"
ROOM = 8  # tokens of an answer beside the largest grid of all tasks


@final
class ArcSettings(DomainSettings):
    """Where the tasks are, how they are shared out, and how they are asked.

    ``path`` is a file of challenges, with ``solutions`` (unless stated, the file beside it whose name has "solutions"
    in place of "challenges"), or a folder with a file a task. ``order`` ``tasks``: shared out among the splits by
    ``shares``, in an order that ``order_seed`` alone decides; with ``train_path`` the exam is of ``path`` and all else
    of ``train_path``, less what the two share. ``order`` ``seal``: SEAL's 8 tasks of ``path`` for the exam and its 11
    of ``train_path`` to learn on, in SEAL's order; for development the 3 that its lists name and it never used.

    ``prediction`` is ``augmented`` (SEAL's: transformed views and a two-stage vote) or ``greedy``; a task is right if
    for each of its test inputs one of ``attempts`` is. ``max_tokens``: as in
    :class:`~netgain.domains.grid_shots.GridShots`.
    """

    path: Path
    solutions: Path | None = None
    train_path: Path | None = None
    train_solutions: Path | None = None
    order: Literal["tasks", "seal"] = "tasks"
    order_seed: int = Field(default=42, ge=0)
    shares: Shares = Shares()
    prediction: Literal["augmented", "greedy"] = "augmented"
    attempts: int = Field(default=ATTEMPTS, ge=1, le=3)
    max_tokens: int = Field(default=MAX_TOKENS, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _beside(cls, given: Any) -> Any:
        """Stated, so that what lies in it is part of a run's identity."""
        if not isinstance(given, Mapping):
            return given
        found = {}
        for path, solutions in (("path", "solutions"), ("train_path", "train_solutions")):
            name = Path(str(given.get(path) or "")).name
            if given.get(solutions) is None and "challenges" in name:
                found[solutions] = Path(str(given[path])).with_name(name.replace("challenges", "solutions"))
        return {**given, **found}


@final
class Arc(Domain):
    """ARC-AGI's tasks, from its files, SEAL's own selection included.

    ``notes`` tell what was left out of ``train_path``.
    """

    prompts = GRID_PROMPTS
    characters_per_token = 1.0
    Settings: ClassVar[type[ArcSettings]] = ArcSettings

    def __init__(self, settings: ArcSettings) -> None:
        """Raises InputError for a file that cannot be read as tasks; SEAL's order also where one of its tasks is not
        there."""
        super().__init__(settings)
        self.few_shot = GridShots(
            augmented=settings.prediction == "augmented", attempts=settings.attempts, max_tokens=settings.max_tokens
        )
        tasks = read_tasks(settings.path, settings.solutions)
        further = None if settings.train_path is None else read_tasks(settings.train_path, settings.train_solutions)
        left = () if further is None else _apart(further, tasks)
        if further is not None and len(left) < len(further):
            count = len(further) - len(left)
            self.notes = (
                f"{count} tasks of {settings.train_path} are left out: the exam's file has them or a pair of them",
            )
        self._pools = _seal_pools(settings, tasks, left) if settings.order == "seal" else _pools(settings, tasks, left)
        outputs = [len(written(pair.output)) for task in (*tasks, *left) for pair in (*task.examples, *task.tests)]
        self.prompts = replace(GRID_PROMPTS, max_new_tokens=max(outputs) + ROOM)  # a character is a token at most

    def problems(self, split: Split, count: int, seed: int) -> tuple[Problem, ...]:
        """The first ``count`` tasks of a split, in the seed's order (SEAL's: always in its own).

        Raises InputError where there are not as many.
        """
        pool, where = self._pools[split], str(self.settings.path)
        if self.settings.order != "seal":
            return tuple(grid_problem(task) for task in take(pool, split, count, seed, where))
        check_count(len(pool), split, count, where)
        return tuple(grid_problem(task) for task in pool[:count])

    def grade(self, question: Question, answer: str) -> Grade:
        """Right if the grid is; F1 is the share of its cells."""
        return grade_grid(question, answer)


def _pools(
    settings: ArcSettings, tasks: Sequence[GridTask], further: Sequence[GridTask]
) -> dict[Part, tuple[GridTask, ...]]:
    shares = settings.shares
    if settings.train_path is None:
        return _shared(tasks, shares, settings.order_seed)
    exam = _shared(tasks, shares.model_copy(update={"train": 0.0, "development": 0.0}), settings.order_seed)
    ratio = shares.train + shares.development
    train = shares.train / ratio if ratio else 1.0
    learnt = _shared(further, Shares(train=train, development=1.0 - train, test=0.0), settings.order_seed)
    return exam | {"train": learnt["train"], "development": learnt["development"]}


def _shared(tasks: Sequence[GridTask], shares: Shares, order_seed: int) -> dict[Part, tuple[GridTask, ...]]:
    parts = share_out((task.id for task in tasks), shares, order_seed)
    return {part: tuple(task for task in tasks if parts[task.id] == part) for part in PARTS}


def _seal_pools(
    settings: ArcSettings, tasks: Sequence[GridTask], further: Sequence[GridTask]
) -> dict[Part, tuple[GridTask, ...]]:
    if settings.train_path is None:
        raise InputError("order: seal", "there is no train_path", "SEAL learns on tasks of ARC's training file")
    test = _named(SEAL_TEST, tasks, str(settings.path))
    train = _named(SEAL_TRAIN, further, str(settings.train_path))
    unused = tuple(task for task in (*further, *tasks) if task.id in SEAL_UNUSED)
    return {"train": train, "development": unused, "test": test, "controls": ()}


def _named(ids: Sequence[str], tasks: Iterable[GridTask], where: str) -> tuple[GridTask, ...]:
    there = {task.id: task for task in tasks}
    for name in ids:
        if name not in there:
            raise InputError(where, f"SEAL's task {name} is not in it", "the exam is of ARC-AGI-1's evaluation tasks")
    return tuple(there[name] for name in ids)


def _apart(further: Iterable[GridTask], tasks: Iterable[GridTask]) -> tuple[GridTask, ...]:
    """Those that have neither an id nor a pair of an exam's task. (In ARC-AGI-1, 40853293 is 070dd51e.)"""
    ids, pairs = {task.id for task in tasks}, {pair for task in tasks for pair in (*task.examples, *task.tests)}
    return tuple(task for task in further if task.id not in ids and pairs.isdisjoint({*task.examples, *task.tests}))


def read_tasks(path: Path, solutions: Path | None = None) -> tuple[GridTask, ...]:
    """The tasks of a file in its order, or of a folder in the order of its files' names; hidden files are passed over.

    Raises InputError naming file, task, rule and what to do.
    """
    if path.is_dir():
        files = sorted(file for file in path.glob("*.json") if not file.name.startswith("."))
        raw = {file.stem: (read_json(file, REMEDY), str(file)) for file in files}
    else:
        data = read_json(path, f"it is {{id: task, ...}}, and {REMEDY}")
        if not isinstance(data, Mapping):
            raise InputError(str(path), f"it is {shown(data)}, no tasks by id", f"it must be {{id: task}}; {REMEDY}")
        is_one = isinstance(data.get("train"), list)
        raw = {path.stem: (data, str(path))} if is_one else {name: (data[name], f"{path}: {name}") for name in data}
    if not raw:
        raise InputError(
            str(path), "no tasks are in it", "give a file of challenges, or a folder with a .json file a task"
        )
    outputs = None if solutions is None else read_json(solutions, "it is {id: [output, ...]}")
    if outputs is not None and not isinstance(outputs, Mapping):
        raise InputError(str(solutions), f"it is {shown(outputs)}, no outputs by id", "it must be {id: [output, ...]}")
    tasks = [_task(name, data, where, outputs, str(solutions)) for name, (data, where) in raw.items()]
    seen: dict[frozenset[Shown], str] = {}
    for task in tasks:
        before = seen.setdefault(frozenset(task.examples), task.id)
        if before != task.id:
            raise InputError(raw[task.id][1], f"it has the same pairs as {before}", "keep one of them")
    return tuple(tasks)


def _task(name: str, data: Any, where: str, outputs: Mapping[str, Any] | None, solutions: str) -> GridTask:
    examples = [
        Shown(_grid(pair, "input", place), _grid(pair, "output", place))
        for place, pair in _numbered(data, "train", where, "pair")
    ]
    tests, known = _numbered(data, "test", where, "test"), None
    if outputs is not None:
        known = outputs.get(name)
        if not isinstance(known, list) or len(known) != len(tests):
            count = f"{len(known)} outputs" if isinstance(known, list) else "no list of outputs"
            problem = f"{count} in {solutions} for {len(tests)} test inputs"
            raise InputError(where, problem, "every test input needs its output there, in the same order")
    asked = []
    for number, (place, test) in enumerate(tests):
        grid = _grid(test, "input", place)
        asked.append(Shown(grid, _solution(test, place, None if known is None else known[number], solutions, name)))
    _check_inputs(examples, asked, where)
    return GridTask(name, tuple(examples), tuple(asked))


def _solution(test: Mapping[str, Any], place: str, known: Any, solutions: str, name: str) -> Grid:
    if known is None:
        if "output" not in test:
            raise InputError(
                place, "it has no output", "give the file of solutions as solutions, or outputs in the task"
            )
        return _grid(test, "output", place)
    solved = check_grid(known, f"{solutions}: {name}")
    if "output" in test and _grid(test, "output", place) != solved:
        raise InputError(place, f"its output is not the one in {solutions}", "keep the right one")
    return solved


def _check_inputs(examples: Sequence[Shown], tests: Sequence[Shown], where: str) -> None:
    """No input is there twice: an answer would stand in the question, or two would contradict each other."""
    seen: dict[Grid, str] = {}
    for kind, pairs in (("pair", examples), ("test", tests)):
        for number, pair in enumerate(pairs, 1):
            place = f"{kind} {number}"
            before = seen.setdefault(pair.input, place)
            if before != place:
                raise InputError(where, f"{place} has the same input as {before}", "keep one of them")


def _numbered(data: Any, key: str, where: str, word: str) -> list[tuple[str, Mapping[str, Any]]]:
    """The members of a task's list with their places, counted from 1. Raises InputError where there are none."""
    members = data.get(key) if isinstance(data, Mapping) else None
    if not isinstance(members, list) or not members:
        raise InputError(where, f"{key} = {shown(members)} is no list of one or more", REMEDY)
    for number, member in enumerate(members, 1):
        if not isinstance(member, Mapping):
            raise InputError(f"{where}: {word} {number}", f"it is {shown(member)}", REMEDY)
    return [(f"{where}: {word} {number}", member) for number, member in enumerate(members, 1)]


def _grid(pair: Mapping[str, Any], key: str, where: str) -> Grid:
    if key not in pair:
        raise InputError(where, f"it has no {key}", REMEDY)
    return check_grid(pair[key], f"{where}: {key}")
