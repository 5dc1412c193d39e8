"""SQuAD as problems: one passage is one problem, and no title is in two splits.

Its files are SEAL's JSON, SQuAD v1.1 and v2 (whose unanswerable questions are left out and counted in a note), or the
hub's through the package ``datasets``. Everything is read when the domain is made, so that what is wrong is said then.

As they are found in the field: an impossible question may have no answers, none at all, or an empty one; a question may
lack an id, and a record that stands twice is one question; a file may begin with a byte order mark. An article without
a title is named by its content, so that such articles are not all one title.
"""

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, final

from pydantic import Field, model_validator

from netgain.domains.domain import Domain, DomainSettings
from netgain.domains.languages import Language, words
from netgain.domains.problem import Problem, Prompts, Question, Split
from netgain.domains.reading import (
    PARTS,
    READING,
    Part,
    Passage,
    Shares,
    check_count,
    looked_up,
    read_json,
    share_out,
    take,
    text_of,
)
from netgain.errors import InputError, MissingExtraError, shown
from netgain.records.identity import short_hash
from netgain.streams import stream

SEAL_TEST = 200  # passages that SEAL examines: the first of its own shuffle
FORMS = "a list of {title, context, questions}, as SEAL publishes it, or SQuAD's {data: [{title, paragraphs}]}"
REMEDY = f"the file must be {FORMS}"
UNTITLED = "untitled "


@final
@dataclass(frozen=True, slots=True)
class Read:
    """Passages in the order of the file, none of them twice; how many questions have no answer in their passage, how
    many records stand there a second time, and how many questions have answers of articles and punctuation alone."""

    passages: tuple[Passage, ...]
    unanswerable: int
    repeated: int = 0
    wordless: int = 0

    @property
    def untitled(self) -> int:
        """How many passages have no title of their own."""
        return sum(passage.title.startswith(UNTITLED) for passage in self.passages)


@final
class SquadSettings(DomainSettings):
    """Where the passages are and how they are shared out.

    ``path`` is a local file; or ``hub`` names a data set such as ``rajpurkar/squad`` and ``hub_split`` its split.
    ``order`` ``titles``: all titles are shared out among the splits by ``shares``, in an order that ``order_seed``
    alone decides. ``order`` ``seal``: the exam is SEAL's own, the first 200 passages after Python's shuffle with
    ``order_seed`` (42 there), in that order; training and development problems come from ``train_path``, less the
    titles of the exam's file, in the ratio of their shares. ``train_path`` may be given with ``titles`` as well.
    ``language`` (ISO 639-1) decides what the words of an answer are: files in SQuAD's form exist in many.
    """

    language: Language = "en"
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
class Squad(Domain):
    """SQuAD, from a file or the hub, SEAL's own exam included.

    ``notes`` tell what was left out of the files.
    """

    prompts: Prompts = READING
    Settings: ClassVar[type[SquadSettings]] = SquadSettings

    def __init__(self, settings: SquadSettings) -> None:
        """Raises InputError for a file that cannot be read as passages, MissingExtraError without ``datasets``."""
        super().__init__(settings)
        if settings.path is not None:
            self._where, read = str(settings.path), read_file(settings.path, settings.language)
        else:
            hub = str(settings.hub)
            self._where, read = f"data set {hub!r}", read_hub(hub, settings.hub_split, settings.language)
        further = None if settings.train_path is None else read_file(settings.train_path, settings.language)
        self.language = settings.language
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
            return tuple(passage.problem() for passage in pool[:count])
        return tuple(passage.problem() for passage in take(pool, split, count, seed, self._where))

    def controls(self, count: int, seed: int) -> tuple[Question, ...]:
        """``count`` questions of the kind ``skill``: to be answered from a passage that is told, of titles in no split.

        There are none of the kind ``seen``: nobody knows which facts an arbitrary base model knew. Fewer than
        ``count`` where the titles left for controls have fewer. SEAL's exam leaves its file's further passages.
        """
        return looked_up(self._pools["controls"], count, stream(seed, "squad", "controls"))


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
    return {part: tuple(passage for passage in passages if parts[passage.title] == part) for part in PARTS}


def _notes(read: Read, further: Read | None) -> list[str]:
    both = [one for one in (read, further) if one is not None]
    unanswerable = sum(one.unanswerable for one in both)
    wordless = sum(one.wordless for one in both)
    bare = sum(not passage.questions for one in both for passage in one.passages)
    told = {
        f"{unanswerable} questions without an answer in their passage are left out": unanswerable,
        f"{wordless} questions whose answers are articles or punctuation alone are left out": wordless,
        f"{bare} passages without a question are left out": bare,
        f"{(repeated := sum(one.repeated for one in both))} questions stand in the file again and count once": repeated,
        f"{(untitled := sum(one.untitled for one in both))} passages without a title are named by their text": untitled,
    }
    return [note for note, count in told.items() if count]


def read_file(path: Path, language: str = "en") -> Read:
    """Read a file in any of the three forms. Raises InputError naming the file, the place in it and the rule."""
    data = read_json(path, "give a JSON file of passages")
    if isinstance(data, Mapping) and isinstance(data.get("data"), list):
        return _gather(_squad_rows(data["data"], f"{path}: data"), language)
    if isinstance(data, list):
        return _gather(_seal_rows(data, str(path)), language)
    raise InputError(str(path), f"holds a {type(data).__name__} without passages", f"it must be {FORMS}")


def read_hub(name: str, split: str, language: str = "en") -> Read:
    """Read a data set of the hub, with columns ``title``, ``context``, ``question`` and ``answers``.

    Raises MissingExtraError without the package ``datasets``, InputError for a data set that cannot be loaded.
    """
    try:
        import datasets
    except ImportError as missing:
        raise MissingExtraError(f"reading {name} from the hub", "datasets") from missing
    try:
        rows = datasets.load_dataset(name, split=split)
    except (OSError, ValueError, RuntimeError) as problem:
        raise InputError(f"data set {name!r}", f"split {split!r} cannot be loaded ({problem})") from problem
    return _gather(_hub_rows(rows, name), language)


# Title, passage, question (None: a passage without any), answers, the record's id (None: it has none).
Row = tuple[str, str, str | None, tuple[str, ...], object]


def _gather(rows: Iterable[Row], language: str) -> Read:
    passages: dict[tuple[str, str], list[tuple[str, tuple[str, ...]]]] = {}
    counts, places = Counter[str](), dict[tuple[str, str, str, object], int]()
    for title, text, question, answers, record in rows:
        questions = passages.setdefault((title, text), [])
        if question is None:
            continue
        if not answers:
            counts["unanswerable"] += 1
            continue
        answers = tuple(answer for answer in answers if words(answer, language))
        if not answers:
            counts["wordless"] += 1
            continue
        place = places.setdefault((title, text, question, record), len(questions))
        if record is None or place == len(questions):
            questions.append((question, answers))
        else:
            counts["repeated"] += 1
            questions[place] = (question, _distinct([*questions[place][1], *answers]))
    found = tuple(Passage(*key, tuple(questions)) for key, questions in passages.items())
    return Read(found, counts["unanswerable"], counts["repeated"], counts["wordless"])


def _seal_rows(items: list[Any], where: str) -> Iterable[Row]:
    for number, item in enumerate(items):
        place = f"{where}: [{number}]"
        named, text = _title(item, place), text_of(item, "context", place, REMEDY)
        title = named or _untitled(text)
        yield title, text, None, (), None
        for index, one in enumerate(_list(item, "questions", place)):
            at = f"{place}.questions[{index}]"
            yield title, text, text_of(one, "question", at, REMEDY), (text_of(one, "answer", at, REMEDY),), None


def _squad_rows(articles: list[Any], where: str) -> Iterable[Row]:
    for number, article in enumerate(articles):
        place = f"{where}[{number}]"
        title = _title(article, place).replace("_", " ")
        for count, paragraph in enumerate(_list(article, "paragraphs", place)):
            at = f"{place}.paragraphs[{count}]"
            text = text_of(paragraph, "context", at, REMEDY)
            title = title or _untitled(text)
            yield title, text, None, (), None
            for index, one in enumerate(_list(paragraph, "qas", at)):
                spot = f"{at}.qas[{index}]"
                question = text_of(one, "question", spot, REMEDY)
                answers = () if _is_impossible(one, spot) else _answers(_list(one, "answers", spot), spot)
                yield title, text, question, answers, _record(one)


def _title(item: Any, where: str) -> str:
    """Its title, which may be empty."""
    return (
        ""
        if isinstance(item, Mapping) and "title" in item and _is_empty(item["title"])
        else text_of(item, "title", where, REMEDY)
    )


def _untitled(text: str) -> str:
    """What stands for the title of an article without one: by the text of its first passage, and telling nothing."""
    return UNTITLED + short_hash(text)[:6]


def _record(item: Mapping[str, Any]) -> object:
    """The id of a question, where it has one; a number and its digits are the same id."""
    given = item.get("id")
    return str(given) if isinstance(given, str | int) and str(given).strip() else None


def _is_empty(value: object) -> bool:
    """Nothing, blank, or not a number: an empty cell of a table that was written as JSON."""
    return (
        value is None or (isinstance(value, float) and isnan(value)) or (isinstance(value, str) and not value.strip())
    )


def _is_impossible(item: Any, where: str) -> bool:
    """What the file says; where it says nothing, the answers decide. An unknown word is no answer to the question."""
    said = item.get("is_impossible") if isinstance(item, Mapping) else None
    if _is_empty(said):
        return False
    if said in (True, False):
        return bool(said)
    raise InputError(where, f"is_impossible = {shown(said)} is neither true nor false", REMEDY)


def _answers(items: list[Any], where: str) -> tuple[str, ...]:
    """The distinct texts; an empty one is how some files say that there is no answer. Offsets are not used."""
    named = [item for item in items if not (isinstance(item, Mapping) and "text" in item and _is_empty(item["text"]))]
    return _distinct(text_of(answer, "text", f"{where}.answers", REMEDY) for answer in named)


def _hub_rows(rows: Iterable[Any], name: str) -> Iterable[Row]:
    for number, row in enumerate(rows):
        at = f"data set {name!r}, row {number}"
        if not isinstance(row, Mapping) or not isinstance(row.get("answers"), Mapping):
            raise InputError(at, "it has no answers", "the columns must be title, context, question and answers")
        text = text_of(row, "context", at, REMEDY)
        title, texts = _title(row, at).replace("_", " ") or _untitled(text), row["answers"].get("text")
        if not isinstance(texts, Sequence) or isinstance(texts, str):
            raise InputError(at, f"answers.text = {shown(texts)} is not a list", "the hub's SQuAD has a list of texts")
        answers = () if _is_impossible(row, at) else _answers([{"text": one} for one in texts], at)
        yield title, text, text_of(row, "question", at, REMEDY), answers, _record(row)


def _distinct(answers: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(answers))


def _list(item: Any, key: str, where: str) -> list[Any]:
    value = item.get(key) if isinstance(item, Mapping) else None
    if not isinstance(value, list):
        raise InputError(where, f"{key} = {shown(value)} is not a list", REMEDY)
    return value
