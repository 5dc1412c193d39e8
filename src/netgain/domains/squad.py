"""SQuAD as problems: one passage is one problem, and no title is in two splits.

Its files are SEAL's JSON, SQuAD v1.1 and v2 (whose unanswerable questions are left out and counted in a note), or the
hub's through the package ``datasets``. Everything is read when the domain is made, so that what is wrong is said then.
"""

import random
import re
from pathlib import Path
from typing import ClassVar, Literal, Self, final

from pydantic import BaseModel, ConfigDict, Field, model_validator

from netgain.domains import grading
from netgain.domains.problem import Grade, Material, Problem, Prompts, Question, Split
from netgain.domains.reading import READING, asked, looked_up
from netgain.domains.splits import Part, Shares, check_count, share_out, take
from netgain.domains.squad_files import Passage, Read, read_file, read_hub
from netgain.errors import InputError
from netgain.records.identity import short_hash
from netgain.streams import stream

SEAL_TEST = 200  # passages that SEAL examines: the first of its own shuffle


@final
class SquadSettings(BaseModel):
    """Where the passages are and how they are shared out.

    ``path`` is a local file; or ``hub`` names a data set such as ``rajpurkar/squad`` and ``hub_split`` its split.
    ``order`` ``titles``: all titles are shared out among the splits by ``shares``, in an order that ``order_seed``
    alone decides. ``order`` ``seal``: the exam is SEAL's own, the first 200 passages after Python's shuffle with
    ``order_seed`` (42 there), in that order; training and development problems come from ``train_path``, less the
    titles of the exam's file, in the ratio of their shares. ``train_path`` may be given with ``titles`` as well.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path | None = None
    hub: str | None = None
    hub_split: str = "validation"
    train_path: Path | None = None
    order: Literal["titles", "seal"] = "titles"
    order_seed: int = Field(default=42, ge=0)
    shares: Shares = Shares()

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.path is None) == (self.hub is None):
            raise ValueError("give either path (a local file) or hub (a data set's name)")
        return self


@final
class Squad:
    """The domain; see the module. ``notes`` tell what was left out of the files."""

    name: ClassVar[str] = "squad"
    prompts: ClassVar[Prompts] = READING
    Settings: ClassVar[type[SquadSettings]] = SquadSettings

    def __init__(self, settings: SquadSettings) -> None:
        """Raises InputError for a file that cannot be read as passages, MissingExtraError without ``datasets``."""
        self.settings = settings
        if settings.path is not None:
            self._where, read = str(settings.path), read_file(settings.path)
        else:
            self._where, read = f"data set {settings.hub!r}", read_hub(str(settings.hub), settings.hub_split)
        further = None if settings.train_path is None else read_file(settings.train_path)
        self._pools = _pools(settings, read, further)
        self.notes = tuple(_notes(read, further))

    def problems(self, split: Split, count: int, seed: int) -> tuple[Problem, ...]:
        """The first ``count`` passages of a split, in the seed's order (SEAL's exam: always in SEAL's).

        Raises InputError where there are not as many.
        """
        pool = self._pools[split]
        if self.settings.order == "seal" and split != "test" and self.settings.train_path is None and count:
            remedy = "give train_path, a file of other passages"
            raise InputError(f"{self._where}: {count} {split} problems", "SEAL's exam takes its whole file", remedy)
        if self.settings.order == "seal" and split == "test":
            check_count(len(pool), split, count, self._where)
            return tuple(_problem(passage) for passage in pool[:count])
        return tuple(_problem(passage) for passage in take(pool, split, count, seed, self._where))

    def controls(self, count: int, seed: int) -> tuple[Question, ...]:
        """``count`` questions of the kind ``skill``: to be answered from a passage that is told, of titles in no split.

        There are none of the kind ``seen``: nobody knows which facts an arbitrary base model knew. Fewer than
        ``count`` where the titles left for controls have fewer. SEAL's exam leaves its file's further passages.
        """
        return looked_up(self._pools["controls"], count, stream(seed, "squad", "controls"))

    def grade(self, question: Question, answer: str) -> Grade:
        """Exact match and F1, as SQuAD defines them."""
        return grading.grade(question, answer)

    def oracle(self, material: Material, seed: int) -> str | None:
        """None: nobody has written down what a perfect writer would say of a passage."""
        return None


def _pools(settings: SquadSettings, read: Read, further: Read | None) -> dict[Part, tuple[Passage, ...]]:
    """The passages of every split, in their file's order or SEAL's; those without a question are left out."""
    usable = [passage for passage in read.passages if passage.questions]
    pools: dict[Part, tuple[Passage, ...]]
    if settings.order == "seal":
        shuffled = list(read.passages)
        random.Random(settings.order_seed).shuffle(shuffled)  # noqa: S311 - the shuffle that SEAL published
        pools = {"test": tuple(p for p in shuffled[:SEAL_TEST] if p.questions)}
        pools["controls"] = tuple(p for p in shuffled[SEAL_TEST:] if p.questions)
    elif further is not None:
        whole = settings.shares.model_copy(update={"train": 0.0, "development": 0.0, "test": settings.shares.test})
        pools = _shared(usable, whole, settings.order_seed)
    else:
        return _shared(usable, settings.shares, settings.order_seed)
    taken = {passage.title for passage in read.passages}
    others = [p for p in (further.passages if further else ()) if p.questions and p.title not in taken]
    ratio = settings.shares.train + settings.shares.development
    train = settings.shares.train / ratio if ratio else 1.0
    learnt = _shared(others, Shares(train=train, development=1.0 - train, test=0.0), settings.order_seed)
    return pools | {"train": learnt["train"], "development": learnt["development"]}


def _shared(passages: list[Passage], shares: Shares, order_seed: int) -> dict[Part, tuple[Passage, ...]]:
    parts = share_out((passage.title for passage in passages), shares, order_seed)
    names: tuple[Part, ...] = ("train", "development", "test", "controls")
    return {part: tuple(passage for passage in passages if parts[passage.title] == part) for part in names}


def _problem(passage: Passage) -> Problem:
    questions = tuple(Question(asked(passage.title, text), answers) for text, answers in passage.questions)
    return Problem(Material(problem_id(passage.title, passage.text), passage.title, passage.text), questions)


def problem_id(title: str, text: str) -> str:
    """A readable name by content: the title in plain letters, and a digest of title and passage."""
    words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40]
    return f"{words or 'passage'}-{short_hash(title, text)}"


def _notes(read: Read, further: Read | None) -> list[str]:
    both = [one for one in (read, further) if one is not None]
    unanswerable = sum(one.unanswerable for one in both)
    bare = sum(not passage.questions for one in both for passage in one.passages)
    notes = [f"{unanswerable} questions without an answer in their passage are left out"] if unanswerable else []
    return [*notes, f"{bare} passages without a question are left out"] if bare else notes
