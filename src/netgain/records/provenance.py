"""Where a number came from, what was tested on what, and how far the grades can be trusted."""

from typing import Annotated, final

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0)]


class StrictModel(BaseModel):
    """Base of all that is written down: immutable, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@final
class Source(StrictModel):
    """The file (relative to what was read, or a publication) and the field that a number was taken from.

    ``sure`` says how: in the primary text, in somebody's summary, recomputed from data; empty where it was read here.
    """

    file: str
    field: str = ""
    note: str = ""
    sure: str = ""

    def __str__(self) -> str:
        place = f"{self.file}: {self.field}" if self.field else self.file
        place += f" [{self.sure}]" if self.sure else ""
        return f"{place} ({self.note})" if self.note else place


@final
class SampleQuestion(StrictModel):
    """A question of a domain (``setting``) with a right answer, to show what is asked: never one of the exam's own.

    ``prompt`` is how an arm that reads nothing at the exam is asked it, in full, and ``version`` that of the wording.
    """

    setting: str
    question: str
    answer: str
    passage: str = ""
    prompt: str = ""
    version: str = ""


@final
class ShownTask(StrictModel):
    """One of the exam's tasks of a few examples as it is shown to readers: its pairs, what was asked and expected.

    Texts as the domain writes them; an input and an output for each part of its question.
    """

    setting: str
    problem: str
    pairs: tuple[tuple[str, str], ...]
    inputs: tuple[str, ...]
    expected: tuple[str, ...]


@final
class ExaminedQuestion(StrictModel):
    """A question of an exam with the answers that count as right. ``question`` is the hash by which rows name it."""

    question: str
    kind: str
    text: str
    answers: tuple[str, ...]


@final
class ExaminedProblem(StrictModel):
    """A problem of a domain's exam, its material and its questions; ``problem`` is empty for control questions."""

    domain: str
    problem: str
    title: str = ""
    text: str = ""
    questions: tuple[ExaminedQuestion, ...]


@final
class RunHistory(StrictModel):
    """What happened to a run between the question and the record.

    ``spec`` is the hash of the locked trial, ``registered`` when (ISO, UTC) that was written down before any work,
    empty where it was not. ``launches`` are the processes that worked on it (0: no history was kept). ``changed``
    names, for each launch that asked something else than the one before it, what differs; ``repeated`` are tasks that
    were finished and done again, ``stopped`` the launches that ended before their time (by what), ``failed`` tasks with
    the error, ``cut_off`` how many attempts at which task did not end, and ``lost`` what these took, by currency.
    ``deleted`` are attempts, by task, that were begun and of which no journal is left, and parts of the
    run (``--shard``) whose history is gone.
    """

    spec: str
    registered: str = ""
    launches: Count = 0
    changed: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    cut_off: dict[str, int] = Field(default_factory=dict)
    lost: dict[str, float] = Field(default_factory=dict)
    deleted: tuple[str, ...] = ()


@final
class RunSetup(StrictModel):
    """What was tested on what, beyond the figures; whatever is empty is not in the record.

    A launch fills ``questions`` (from development or training problems), ``tasks`` (of a few examples, of the exam),
    ``hardware`` and ``date`` (ISO, when the run began) and ``warnings`` (what was said before anything was spent); its
    end ``examined`` (of each domain a problem of the exam, with one question). ``versions`` are those of Python and of
    each library that decides results or costs, ``code`` the digest of netgain's own source, ``commit`` its name where
    it runs from a repository, with a digest of uncommitted ``changes``; ``meter_check`` is the result of the meter's
    self-check in words. An audit's reader fills in what the published files hold. ``note`` is what whoever keeps the
    record adds later.
    ``history`` is no part of the file: it is taken from the locked trial and the journals whenever a record is judged.
    """

    questions: tuple[SampleQuestion, ...] = ()
    tasks: tuple[ShownTask, ...] = ()
    examined: tuple[ExaminedProblem, ...] = ()
    hardware: str = ""
    date: str = ""
    versions: dict[str, str] = Field(default_factory=dict)
    code: str = ""
    commit: str = ""
    changes: str = ""
    meter_check: str = ""
    warnings: tuple[str, ...] = ()
    note: str = ""
    history: RunHistory | None = None


@final
class Judging(StrictModel):
    """A judge's verdicts against exact match, over the answers of all arms, rungs and seeds that were put to it.

    Of ``count`` answers its verdict could be read, of ``unreadable`` not. ``raw`` is the share of equal verdicts and
    ``kappa`` Cohen's (None where nothing was read, or one side never varies); ``lenient`` counts answers that only the
    judge finds right, ``strict`` those that only exact match does. ``decides``: its verdicts were the grades, with
    exact match where one could not be read. ``spent`` is what the verdicts took by currency, outside every budget.

    Of ``planted_right`` answers that are right it ``rejected`` so many, of ``planted_wrong`` ones it ``accepted`` so
    many: it is asked about these in every run, before its verdicts are used.
    """

    model: str
    decides: bool = False
    count: Count = 0
    unreadable: Count = 0
    raw: Annotated[float, Field(ge=0, le=1)] | None = None
    kappa: Annotated[float, Field(ge=-1, le=1)] | None = None
    lenient: Count = 0
    strict: Count = 0
    spent: dict[str, float] = Field(default_factory=dict)
    planted_right: Count = 0
    rejected: Count = 0
    planted_wrong: Count = 0
    accepted: Count = 0

    @property
    def mistaken(self) -> float:
        """The larger of its shares of mistakes: on planted answers that are right, and on those that are wrong."""
        shares = ((self.rejected, self.planted_right), (self.accepted, self.planted_wrong))
        return max((mistakes / asked for mistakes, asked in shares if asked), default=0.0)
