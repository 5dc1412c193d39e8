"""``samples.jsonl``: what a trial wrote down, one row for each adaptation, investment, tuning and stream.

Amounts are folds over the run's journal, made when the row was written. Rows hold no clock and no seconds: the same
spec and seed give the same bytes.
"""

import json
import lzma
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Annotated, Literal, Self, final

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from netgain.errors import InputError
from netgain.records.claim import BoundedCount, Fraction, RewardRun
from netgain.records.cost import Purpose
from netgain.records.learning import ChosenTraining, EditRound, PolicyStep
from netgain.records.measurements import Ability, Finite
from netgain.records.provenance import StrictModel

Amounts = dict[str, float]  # by currency name; unknown ones left out
Status = Literal["ok", "failed"]


@final
class GradedAnswer(StrictModel):
    """An answer and its grade. ``question`` is a hash of the question's text; ``kind`` says what it examines.

    ``correct`` is by the grade that the trial names (by F1: from one half on). ``exact`` is the domain's own grade
    where another one decided, None where ``correct`` is it. ``judged`` is an LLM judge's verdict, None where it was not
    asked (no judge, or an empty answer) or could not be understood. ``contains``: an accepted answer stands in the
    text; ``cut``: it was as long as an answer may be. None where the record is older than either, or nothing was asked.
    ``attempts`` are all the answers to a question of examples that were graded, for each part of it the best first;
    ``text`` then holds the first of each part. Of ``drawn`` further answers, sampled for the exam's coverage, ``right``
    were right; None where none were asked for.
    """

    question: str
    kind: str
    text: str
    correct: bool
    f1: Fraction
    votes: BoundedCount = 1
    judged: bool | None = None
    exact: bool | None = None
    contains: bool | None = None
    cut: bool | None = None
    attempts: tuple[tuple[str, ...], ...] = ()
    drawn: BoundedCount | None = None
    right: BoundedCount | None = None

    @property
    def matched(self) -> bool:
        """The domain's own grade: the exact one, whichever decided."""
        return self.correct if self.exact is None else self.exact


@final
class WrittenText(StrictModel):
    """A text that was written about the material, under which purpose (propose, teach)."""

    purpose: Purpose
    text: str


@final
class JudgeCheck(StrictModel):
    """What a judge said of planted answers: of ``right`` ones it ``rejected`` so many, of ``wrong`` ones it
    ``accepted`` so many. A verdict that could not be read is neither."""

    right: BoundedCount = 0
    rejected: BoundedCount = 0
    wrong: BoundedCount = 0
    accepted: BoundedCount = 0


@final
class Adaptation(StrictModel):
    """One arm adapted to one problem at one budget level (``rung``), and examined.

    ``deployments`` is over how many problems the investment of an arm that learns is spread; None for others.
    ``budget`` is in the trial's currency. ``spent`` holds all work inside the matched budget by purpose, rejected
    and failed work included; ``rejected`` the part of it whose results were thrown away or failed; ``evaluated``
    the exam's own work, outside the budget, of which a judge took ``judging``, its coverage ``sampling``, and what is
    measured beside the problem's questions (controls, drift, abilities) ``stability``; older records lack these.
    ``exposed`` lists exam questions (hashes) that the method trained on, or on their answers beside the title,
    although nothing it was given or had written contains them; ``unmetered`` that it took more processor time of
    its own than its charges explain, and ``own_seconds`` how much, where it has a process of its own; ``opened`` what
    that process opened that no budget knows. ``divergence`` (from the base model, nats a token) and ``abilities`` were
    measured beside the questions. ``chosen`` is what it was trained with where that is chosen for each problem, the
    first what was trained.
    """

    row: Literal["adaptation"] = "adaptation"
    domain: str
    arm: str
    seed: int
    rung: float
    deployments: BoundedCount | None = None
    problem: str
    status: Status = "ok"
    error: str = ""
    budget: float | None = None
    spent: dict[Purpose, Amounts] = Field(default_factory=dict)
    rejected: Amounts = Field(default_factory=dict)
    evaluated: Amounts = Field(default_factory=dict)
    judging: Amounts = Field(default_factory=dict)
    sampling: Amounts = Field(default_factory=dict)
    stability: Amounts = Field(default_factory=dict)
    answers: tuple[GradedAnswer, ...] = ()
    edits: tuple[WrittenText, ...] = ()
    exposed: tuple[str, ...] = ()
    unmetered: bool = False
    own_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    opened: tuple[Literal["programs", "sockets"], ...] = ()
    divergence: Finite | None = None
    abilities: tuple[Ability, ...] = ()
    chosen: tuple[ChosenTraining, ...] = ()
    judge_check: JudgeCheck | None = None


@final
class Investment(StrictModel):
    """What an arm's ``learn`` stage took, once a seed, at one budget level (``rung``) for so many ``deployments``, and
    the rewards that it measured on the way with the edits that they are of (older records lack these); of a policy
    gradient its steps, and which of them was kept."""

    row: Literal["investment"] = "investment"
    domain: str
    arm: str
    seed: int
    rung: float
    deployments: BoundedCount
    status: Status = "ok"
    error: str = ""
    budget: float | None = None
    spent: dict[Purpose, Amounts] = Field(default_factory=dict)
    rejected: Amounts = Field(default_factory=dict)
    rewards: tuple[RewardRun, ...] = ()
    policy: tuple[PolicyStep, ...] = ()
    policy_kept: BoundedCount | None = None
    edits: tuple[EditRound, ...] = ()


@final
class Attempt(StrictModel):
    """One setting tried in tuning, its accuracy on development problems, and what it took."""

    settings: dict[str, str | int | float | bool | None]
    accuracy: Fraction | None
    spent: Amounts = Field(default_factory=dict)


@final
class Tuning(StrictModel):
    """The tuning of one arm: every attempt, the one chosen, and its accuracy on development problems.

    ``deployments`` is set where an arm that learns was tuned again for a further number of them. ``widened`` counts the
    attempts beyond the ends of what was to be tried; ``edges`` names the knobs whose best value is still at an end.
    """

    row: Literal["tuning"] = "tuning"
    domain: str
    arm: str
    deployments: BoundedCount | None = None
    attempts: tuple[Attempt, ...] = ()
    chosen: int | None = None
    widened: BoundedCount = 0
    edges: tuple[str, ...] = ()
    development: Fraction | None = None
    spent: dict[Purpose, Amounts] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _was_tried(self) -> Self:
        if self.chosen is not None and not 0 <= self.chosen < len(self.attempts):
            raise ValueError(f"chosen = {self.chosen}: there are {len(self.attempts)} attempts")
        return self


@final
class AdaptationStream(StrictModel):
    """A stream of adaptations, one after another on the same weights: ``matrix[k][i]`` is the accuracy on problem ``i``
    after ``k`` of them (row 0: untouched). ``spent`` and ``evaluated`` as those of an adaptation, merging included."""

    row: Literal["retention"] = "retention"
    domain: str
    arm: str
    seed: int
    rung: float
    problems: tuple[str, ...]
    matrix: tuple[tuple[Fraction | None, ...], ...]
    status: Status = "ok"
    error: str = ""
    spent: dict[Purpose, Amounts] = Field(default_factory=dict)
    evaluated: Amounts = Field(default_factory=dict)


Row = Annotated[Adaptation | Investment | Tuning | AdaptationStream, Field(discriminator="row")]
_ROW: TypeAdapter[Row] = TypeAdapter(Row)


def read_samples(path: Path) -> bytes:
    """What a file of rows holds, unpacked where its name ends in ``.xz``. Raises InputError where it can't be read."""
    try:
        data = path.read_bytes()
        return lzma.decompress(data) if path.suffix == ".xz" else data
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> InputError:
    problem = error.strerror if isinstance(error, OSError) else f"it is damaged ({error})"
    return InputError(str(path), f"cannot be read: {problem}", "give the samples.jsonl of a run")


def read_rows(path: Path) -> list[Row]:
    """Every row of the file, in order; empty lines are skipped. A file whose name ends in ``.xz`` is unpacked.

    Raises InputError with ``file:line`` for a line that is not a row. A last line without its line break is one that
    was being written when the run was stopped, and is left out if it cannot be read.
    """
    try:
        with lzma.open(path) if path.suffix == ".xz" else path.open("rb") as lines:
            return list(_rows(lines, str(path)))
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise _unreadable(path, error) from None


def rows_of(data: bytes, path: str) -> list[Row]:
    """The same for what a file of this name holds."""
    return list(_rows(BytesIO(data), path))


def _rows(lines: Iterable[bytes], path: str) -> Iterator[Row]:
    """The same, line by line: what the file holds is never in memory beside its rows."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = _ROW.validate_json(line)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            if problem["type"] != "json_invalid":
                raise InputError(f"{path}:{number}", _first(error)) from None
            if not line.endswith(b"\n"):
                return
            raise InputError(f"{path}:{number}", f"is not JSON that can be read: {problem['msg']}") from None
        yield row


def write_rows(rows: Iterable[Row]) -> str:
    """The rows as the text of such a file; fields with their default value are left out."""
    return "".join(_line(row) for row in rows)


def _line(row: Row) -> str:
    data = {"row": row.row, **row.model_dump(mode="json", exclude_defaults=True)}
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n"


def _first(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in problem["loc"])
    more = f" ({error.error_count()} problems in all)" if error.error_count() > 1 else ""
    return f"is not a row of a trial: {f'field {place!r}: ' if place else ''}{problem['msg']}{more}"
