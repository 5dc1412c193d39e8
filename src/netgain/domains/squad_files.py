"""SQuAD on disk and on the hub: SEAL's JSON, SQuAD v1.1 and v2, and the rows of the package ``datasets``."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from netgain.errors import InputError, MissingExtraError

FORMS = "a list of {title, context, questions}, as SEAL publishes it, or SQuAD's {data: [{title, paragraphs}]}"


@final
@dataclass(slots=True)
class Passage:
    """One passage with its answerable questions: (question, answers), the reference answer first."""

    title: str
    text: str
    questions: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)


@final
@dataclass(frozen=True, slots=True)
class Read:
    """Passages in the order of the file, none of them twice, and how many questions have no answer in their passage."""

    passages: tuple[Passage, ...]
    unanswerable: int


def read_file(path: Path) -> Read:
    """Read a file in any of the three forms. Raises InputError naming the file, the place in it and the rule."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror})", "give a JSON file of passages") from error
    except UnicodeDecodeError as error:
        raise InputError(str(path), "is not UTF-8 text") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}", f"is not JSON ({error.msg})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(str(path), f"is not JSON that can be read ({error})") from error
    if isinstance(data, Mapping) and isinstance(data.get("data"), list):
        return _gather(_squad_rows(data["data"], f"{path}: data"))
    if isinstance(data, list):
        return _gather(_seal_rows(data, str(path)))
    raise InputError(str(path), f"holds a {type(data).__name__} without passages", f"it must be {FORMS}")


def read_hub(name: str, split: str) -> Read:
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
    return _gather(_hub_rows(rows, name))


Row = tuple[str, str, str | None, tuple[str, ...]]  # title, passage, question (None: a passage without any), answers


def _gather(rows: Iterable[Row]) -> Read:
    found: dict[tuple[str, str], Passage] = {}
    unanswerable = 0
    for title, text, question, answers in rows:
        passage = found.setdefault((title, text), Passage(title, text))
        if question is not None and answers:
            passage.questions.append((question, answers))
        elif question is not None:
            unanswerable += 1
    return Read(tuple(found.values()), unanswerable)


def _seal_rows(items: list[Any], where: str) -> Iterable[Row]:
    for number, item in enumerate(items):
        place = f"{where}: [{number}]"
        title, text = _text(item, "title", place), _text(item, "context", place)
        yield title, text, None, ()
        for index, one in enumerate(_list(item, "questions", place)):
            at = f"{place}.questions[{index}]"
            yield title, text, _text(one, "question", at), (_text(one, "answer", at),)


def _squad_rows(articles: list[Any], where: str) -> Iterable[Row]:
    for number, article in enumerate(articles):
        place = f"{where}[{number}]"
        title = _text(article, "title", place).replace("_", " ")
        for count, paragraph in enumerate(_list(article, "paragraphs", place)):
            at = f"{place}.paragraphs[{count}]"
            text = _text(paragraph, "context", at)
            yield title, text, None, ()
            for index, one in enumerate(_list(paragraph, "qas", at)):
                spot = f"{at}.qas[{index}]"
                answers = [_text(answer, "text", f"{spot}.answers") for answer in _list(one, "answers", spot)]
                impossible = bool(one.get("is_impossible", False))
                yield title, text, _text(one, "question", spot), () if impossible else _distinct(answers)


def _hub_rows(rows: Iterable[Any], name: str) -> Iterable[Row]:
    for number, row in enumerate(rows):
        at = f"data set {name!r}, row {number}"
        if not isinstance(row, Mapping) or not isinstance(row.get("answers"), Mapping):
            raise InputError(at, "it has no answers", "the columns must be title, context, question and answers")
        title, text = _text(row, "title", at).replace("_", " "), _text(row, "context", at)
        yield title, text, _text(row, "question", at), _distinct(row["answers"].get("text", ()))


def _distinct(answers: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(answers))


def _text(item: Any, key: str, where: str) -> str:
    value = item.get(key) if isinstance(item, Mapping) else None
    if not isinstance(value, str) or not value.strip():
        raise InputError(where, f"{key} = {_shown(value)} is not a text", f"the file must be {FORMS}")
    return value.strip()


def _list(item: Any, key: str, where: str) -> list[Any]:
    value = item.get(key) if isinstance(item, Mapping) else None
    if not isinstance(value, list):
        raise InputError(where, f"{key} = {_shown(value)} is not a list", f"the file must be {FORMS}")
    return value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
