"""Tables of anybody's own, with a small mapping file that says what their columns mean: ``mapping.yaml``.

A table holds a row for each arm (``arms``) or for each answer (``answers``), or is one run with a row for each step
(``runs``). Columns that the mapping does not name are not read, and what it does not state stays unknown.
"""

from pathlib import Path
from typing import Annotated, Literal, final

from pydantic import Field

from netgain.audit.audit import Reader
from netgain.audit.runs.evaluation import MARKS, sample_key
from netgain.audit.runs.lenient import Lenient, number, whole, words
from netgain.audit.runs.logged import curve
from netgain.audit.runs.run_record import RunRecord, claim_of_runs
from netgain.errors import InputError, nearest
from netgain.records.claim import Claim, Exam, ExamProblem, Name, Role
from netgain.records.measurements import CurvePoint
from netgain.records.provenance import StrictModel
from netgain.strict_yaml import load_yaml
from netgain.tokens import TokenCounter

MAPPING, EXAM = "mapping.yaml", "answers"
RIGHT_OR_WRONG = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}
AMOUNTS = ("updates", "tokens_real", "tokens_padded", "tokens_generated", "flops", "seconds", "dollars")
Column = Annotated[str, Field(min_length=1)]
Scale = Literal["fraction", "percent"]


@final
class ArmsTable(StrictModel):
    """A table with a row for each arm: which column holds what. ``roles`` gives arms by name what they are."""

    file: str
    name: Column
    accuracy: Column | None = None
    scale: Scale = "fraction"
    n_questions: Column | int | None = None
    updates: Column | None = None
    tokens_real: Column | None = None
    tokens_padded: Column | None = None
    tokens_generated: Column | None = None
    flops: Column | None = None
    seconds: Column | None = None
    dollars: Column | None = None
    roles: dict[str, Role] = Field(default_factory=dict)


@final
class RunTable(StrictModel):
    """A table that is one run, with a row for each step. ``metric`` is the column of its evaluations."""

    file: str
    name: Name
    role: Role = Role.OTHER
    step: Column
    seconds: Column | None = None
    metric: Column | None = None
    scale: Scale = "fraction"
    tokens: Column | None = None
    n_questions: int | None = None


@final
class AnswersTable(StrictModel):
    """A table with a row for each answer: ``correct`` is 1 or 0, true or false. ``problem`` is what several questions
    have in common; without it each question is one."""

    file: str
    arm: Column
    question: Column
    correct: Column
    problem: Column | None = None


@final
class Mapping(StrictModel):
    """The whole file. ``setting`` is what the arms have in common."""

    title: str = "Tables of results"
    setting: str = "as in the tables"
    model: str = ""
    headline: str | None = None
    rival: str | None = None
    arms: tuple[ArmsTable, ...] = ()
    runs: tuple[RunTable, ...] = ()
    answers: tuple[AnswersTable, ...] = ()


@final
class CsvReader(Reader):
    """CSV tables with a mapping.yaml that says what their columns mean."""

    def recognises(self, folder: Path) -> bool:
        """Whether the folder has a mapping.yaml."""
        return (folder / MAPPING).is_file()

    def read(self, folder: Path, tokens: TokenCounter) -> Claim:
        """The claim of these tables. Raises InputError for a mistake in the mapping, with its line."""
        mapping = load_yaml(folder / MAPPING, Mapping)
        files = Lenient(folder)
        runs: list[RunRecord] = []
        for table in mapping.arms:
            runs += _arms(files, folder / table.file, table, mapping)
        for log in mapping.runs:
            runs += _run(files, folder / log.file, log, mapping)
        grades = _grades(files, mapping)
        known = {run.name for run in runs}
        runs += [RunRecord(arm, MAPPING, setting=mapping.setting) for arm in grades if arm not in known]
        names = [run.name for run in runs]
        named = runs if len(set(names)) == len(names) else ()
        files.require(named, "none of its tables", "no arm in it, or two of one name", folder / MAPPING)
        for field, wanted in (("headline", mapping.headline), ("rival", mapping.rival)):
            if wanted is not None and wanted not in names:
                raise InputError(str(folder / MAPPING), f"{field} {wanted!r} is in no table", nearest(wanted, names))
        claim = claim_of_runs(
            folder.resolve().name,
            mapping.title,
            runs,
            headline=mapping.headline,
            rival=mapping.rival,
            findings=files.findings,
        )
        return _with_answers(claim, grades) if grades else claim


def _rows(files: Lenient, path: Path, *columns: str | None) -> list[dict[str, str]]:
    """The rows of a table. Raises InputError where it is not there or lacks a column that the mapping names."""
    if not files.has(path):
        raise InputError(f"{files.folder / MAPPING}", f"there is no table {words(path.name, longest=100)}")
    rows = files.table(path)
    missing = [column for column in columns if column and rows and column not in rows[0]]
    if missing:
        raise InputError(str(path), f"has no column {missing[0]!r}", nearest(missing[0], [*rows[0]]))
    return rows


def _arms(files: Lenient, path: Path, table: ArmsTable, mapping: Mapping) -> list[RunRecord]:
    named: dict[str, str | None] = table.model_dump(include=set(AMOUNTS))
    asked = table.n_questions if isinstance(table.n_questions, str) else None
    found = []
    for row in _rows(files, path, table.name, table.accuracy, asked, *named.values()):
        name = words(row[table.name])
        if not name:
            continue
        run = RunRecord(name if name != "frozen" else "frozen model", files.name(path), label=name)
        run.updates, run.flops = _amount(row, table.updates), _amount(row, table.flops)
        run.tokens_real, run.tokens_padded = _amount(row, table.tokens_real), _amount(row, table.tokens_padded)
        run.tokens_generated = _amount(row, table.tokens_generated)
        run.seconds, run.dollars = _amount(row, table.seconds), _amount(row, table.dollars)
        run.setting, run.model, run.role = mapping.setting, mapping.model, table.roles.get(name, Role.OTHER)
        run.accuracy = _share(row.get(table.accuracy or ""), table.scale)
        run.n_questions = (
            whole(row[asked]) if asked else table.n_questions if isinstance(table.n_questions, int) else None
        )
        found.append(run)
    return found


def _run(files: Lenient, path: Path, log: RunTable, mapping: Mapping) -> list[RunRecord]:
    rows = _rows(files, path, log.step, log.seconds, log.metric, log.tokens)
    run = RunRecord(log.name, files.name(path), setting=mapping.setting, model=mapping.model, role=log.role)
    run.n_questions = log.n_questions
    steps = [step for row in rows if (step := number(row[log.step])) is not None]
    if not steps:
        files.refuse(path, f"has no number in its column {log.step!r}")
        return []
    run.updates = max(steps)
    if log.tokens:
        counts = [number(row[log.tokens]) for row in rows]
        known = [count for count in counts if count is not None]
        run.tokens_real = sum(known) if len(known) == len(counts) else None
    points = [
        CurvePoint(step=step, value=value, seconds=number(row[log.seconds]) if log.seconds else None)
        for row in rows
        if log.metric
        and (step := number(row[log.step])) is not None
        and (value := _share(row[log.metric], log.scale)) is not None
    ]
    if points and log.metric:
        run.curves = [curve(log.metric, points)]
        run.accuracy = points[-1].value
    return [run]


def _amount(row: dict[str, str], column: str | None) -> float | None:
    return number(row[column]) if column else None


def _share(value: object, scale: Scale) -> float | None:
    found = number(value, 0.0, 100.0 if scale == "percent" else 1.0)
    return found if found is None or scale == "fraction" else found / 100


_Grades = dict[str, dict[tuple[str, str], bool]]  # of each arm, by problem and question


def _grades(files: Lenient, mapping: Mapping) -> _Grades:
    found: _Grades = {}
    names: dict[str, str] = {}  # each arm's, which stands in every row
    for table in mapping.answers:
        path, unread = files.folder / table.file, 0
        for row in _rows(files, path, table.arm, table.question, table.correct, table.problem):
            written, question = row[table.arm], row[table.question]
            arm = names[written] if written in names else names.setdefault(written, words(written))
            right = RIGHT_OR_WRONG.get(row[table.correct].strip().lower())
            if not arm or right is None:
                unread += 1
                continue
            arm = arm if arm != "frozen" else "frozen model"
            found.setdefault(arm, {})[row[table.problem] if table.problem else question, question] = right
        if unread:
            files.say(f"{files.name(path)}: {unread} answers are neither right nor wrong and are left out", path)
    return found


def _with_answers(claim: Claim, grades: _Grades) -> Claim:
    """The claim with every answer: arms are compared on what they have in common."""
    asked: dict[str, dict[str, None]] = {}
    for answers in grades.values():
        for problem, question in answers:
            asked.setdefault(problem, {})[question] = None
    keys = {problem: sample_key(problem) for problem in asked}
    problems = [ExamProblem(id=keys[p], questions=tuple(sample_key(p, q) for q in asked[p])) for p in asked]
    arms = []
    for arm in claim.arms:
        mine = grades.get(arm.name)
        if mine:
            correct = tuple("".join(MARKS[mine.get((p, q))] for q in asked[p]) for p in asked)
            counts = {"n_problems": sum(bool(row.strip("-")) for row in correct), "n_questions": len(mine)}
            arm = arm.model_copy(update={"exam": EXAM, "correct": correct, "averaged": "questions", **counts})
        arms.append(arm)
    return claim.model_copy(update={"arms": tuple(arms), "exams": (Exam(name=EXAM, problems=tuple(problems)),)})
