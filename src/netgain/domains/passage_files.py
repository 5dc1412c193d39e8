"""A user's own passages on disk: Markdown and JSON Lines. Every error names file, line, value, rule and remedy."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final, get_args

from netgain.domains.problem import Split
from netgain.errors import InputError, nearest

SPLITS: tuple[str, ...] = get_args(Split)
FIELDS = ("title", "text", "questions", "split")
_SECTION = re.compile(r"^##\s+questions\s*$", re.IGNORECASE)
_MARKED = re.compile(r"^\s*(?:[-*]\s+)?(?P<mark>[QA])\s*:\s*(?P<text>.*?)\s*$", re.IGNORECASE)
FORM = "write `# Title`, the passage, then `## Questions` with a `Q:` line and an `A:` line for each"


@final
@dataclass(frozen=True, slots=True)
class Entry:
    """One passage with its questions: (question, answers). ``split`` where its file or folder names one."""

    where: str
    title: str
    text: str
    questions: tuple[tuple[str, tuple[str, ...]], ...]
    split: Split | None = None


def read_passages(path: Path) -> tuple[Entry, ...]:
    """All passages of a ``.jsonl`` or ``.md`` file, or of a folder with such files at any depth, in order of names.

    Raises InputError where there is none, and for the first passage that breaks a rule.
    """
    if not path.exists():
        raise InputError(str(path), "there is no such file or folder", "give a folder of .md files, or a .jsonl file")
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix in {".md", ".jsonl"})
    entries = [entry for file in files for entry in _read(file, path)]
    if not entries:
        raise InputError(str(path), "no passages are in it", f"in a .md file, {FORM}")
    seen: dict[tuple[str, str], str] = {}
    for entry in entries:
        before = seen.setdefault((entry.title, entry.text), entry.where)
        if before != entry.where:
            raise InputError(entry.where, f"{entry.title!r} is the same passage as in {before}", "keep one of them")
    return tuple(entries)


def _read(file: Path, root: Path) -> Iterable[Entry]:
    folder = (
        next((part for part in file.relative_to(root).parts[:-1] if part in SPLITS), None) if file != root else None
    )
    split = _split(folder, str(file)) if folder else None
    text = _text_of(file)
    if file.suffix == ".jsonl":
        return _json_lines(text, file, split)
    if file.suffix == ".md":
        return [_markdown(text, file, split)]
    raise InputError(str(file), f"ends in {file.suffix!r}", "passages are .md or .jsonl files")


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(str(file), f"cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(str(file), f"is not UTF-8 text (byte {error.start})", "save it as UTF-8") from error


def _split(word: object, where: str) -> Split:
    for split in get_args(Split):
        if word == split:
            return split  # type: ignore[no-any-return]
    raise InputError(where, f"split = {word!r} is none of {', '.join(SPLITS)}", nearest(str(word), SPLITS))


# -- Markdown


def _markdown(text: str, file: Path, split: Split | None) -> Entry:
    lines = text.splitlines()
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    if not lines or not lines[first].startswith("# ") or not lines[first][2:].strip():
        shown = lines[first].strip()[:60] if lines else ""
        raise InputError(f"{file}:{first + 1}", f"{shown!r} is not a title", FORM)
    section = next((number for number, line in enumerate(lines) if _SECTION.match(line)), None)
    if section is None:
        raise InputError(f"{file}:{len(lines)}", "there is no section `## Questions`", FORM)
    body = "\n".join(lines[first + 1 : section]).strip()
    if not body:
        raise InputError(f"{file}:{section + 1}", "there is no text between the title and its questions", FORM)
    questions = tuple(_pairs(lines, section + 1, file))
    if not questions:
        raise InputError(f"{file}:{section + 1}", "there are no questions below `## Questions`", FORM)
    return Entry(str(file), lines[first][2:].strip(), body, questions, split)


def _pairs(lines: list[str], start: int, file: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    question, answers, asked = "", list[str](), start
    for number in range(start, len(lines)):
        line, where = lines[number], f"{file}:{number + 1}"
        if not line.strip():
            continue
        found = _MARKED.match(line)
        if found is None:
            raise InputError(where, f"{line.strip()[:60]!r} begins with neither Q: nor A:", "write one line for each")
        if not found["text"]:
            raise InputError(where, f"{found['mark'].upper()}: is empty", "write the text on the same line")
        if found["mark"].upper() == "A":
            if not question:
                raise InputError(
                    where, f"the answer {found['text'][:60]!r} has no question before it", "write Q: first"
                )
            answers.append(found["text"])
            continue
        if question:
            yield _pair(question, answers, f"{file}:{asked + 1}")
        question, answers, asked = found["text"], [], number
    if question:
        yield _pair(question, answers, f"{file}:{asked + 1}")


def _pair(question: str, answers: Iterable[str], where: str) -> tuple[str, tuple[str, ...]]:
    distinct = tuple(dict.fromkeys(answers))
    if not distinct:
        raise InputError(where, f"the question {question[:60]!r} has no answer", "write an A: line below it")
    return question, distinct


# -- JSON Lines


def _json_lines(text: str, file: Path, split: Split | None) -> Iterator[Entry]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield _entry(line, f"{file}:{number}", split)


def _entry(line: str, where: str, split: Split | None) -> Entry:
    try:
        item = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(where, f"is not JSON ({error})", "write one object on each line") from error
    if not isinstance(item, dict):
        raise InputError(where, f"holds a {type(item).__name__}, not an object", f"its fields are {', '.join(FIELDS)}")
    unknown = [key for key in item if key not in FIELDS]
    if unknown:
        raise InputError(where, f"unknown field {unknown[0]!r}", nearest(unknown[0], FIELDS))
    questions = item.get("questions")
    if not isinstance(questions, list) or not questions:
        raise InputError(where, f"questions = {_shown(questions)} is not a list of questions", "give at least one")
    named = _split(item["split"], where) if "split" in item else split
    pairs = tuple(_json_pair(one, f"{where}: questions[{index}]") for index, one in enumerate(questions))
    return Entry(where, _text(item, "title", where), _text(item, "text", where), pairs, named)


def _json_pair(item: Any, where: str) -> tuple[str, tuple[str, ...]]:
    if not isinstance(item, dict):
        raise InputError(where, f"{_shown(item)} is not an object", "its fields are question and answers")
    answers = item.get("answers")
    if not isinstance(answers, list) or not all(isinstance(one, str) and one.strip() for one in answers):
        raise InputError(where, f"answers = {_shown(answers)} is not a list of texts", "give every accepted answer")
    return _pair(_text(item, "question", where), [one.strip() for one in answers], where)


def _text(item: dict[str, Any], key: str, where: str) -> str:
    value = item.get(key)
    if not isinstance(value, str) or not value.strip():
        raise InputError(where, f"{key} = {_shown(value)} is not a text", f"give {key} as a text that is not empty")
    return value.strip()


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
