"""A user's own passages as problems: a folder of Markdown files, or JSON Lines. Hidden files and folders, such as a
notebook's checkpoints, are no passages.

In Markdown a file is a passage: ``# Title``, its text, then ``## Questions`` with a ``Q:`` line and one or more ``A:``
lines for each, and ``## Two-hop questions`` for those that take two facts of the passage together (the kind
``reasoning``). In JSON Lines a line is one: ``{"title": ..., "text": ..., "questions": [{"question": ..., "answers":
[...], "kind": "reasoning"}]}``. Which part a passage is in may be said (a folder ``train``, ``development``, ``test``
or ``controls``, or the field ``split``); those that say nothing are shared out by title.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, final

from pydantic import Field

from netgain.domains.domain import Domain, DomainSettings
from netgain.domains.grading import check_answer, contains
from netgain.domains.languages import Language
from netgain.domains.problem import Problem, Prompts, Question, Split
from netgain.domains.reading import (
    PARTS,
    READING,
    Pair,
    Part,
    Passage,
    Shares,
    asked,
    looked_up,
    share_out,
    take,
    text_of,
)
from netgain.errors import InputError, nearest, shown
from netgain.streams import stream
from netgain.strict_json import parse_json

FIELDS = ("title", "text", "questions", "split")
FORM = "write `# Title`, the passage, then `## Questions` with a `Q:` line and an `A:` line for each"
QUESTION_KINDS = ("knowledge", "reasoning")
ABOUT = "readme"  # a file of this name is about the folder, and is read by people
KINDS = {".md": "markdown", ".markdown": "markdown", ".jsonl": "lines"}  # in lower case
_SECTION = re.compile(r"^##\s+(?:two-hop\s+)?questions\s*$", re.IGNORECASE)
_MARKED = re.compile(r"^\s*(?:[-*]\s+)?(?P<mark>[QA])\s*:\s*(?P<text>.*?)\s*$", re.IGNORECASE)


@final
class PassagesSettings(DomainSettings):
    """Where the passages are and, for those that name no split, how their titles are shared out among the splits.

    ``language`` (ISO 639-1) decides what the words of an answer are.
    """

    path: Path
    language: Language = "en"
    shares: Shares = Shares()
    order_seed: int = Field(default=42, ge=0)


@final
class Passages(Domain):
    """Your own passages with questions, in Markdown or JSON Lines.

    ``notes`` name the files of the folder that were left out.
    """

    prompts: Prompts = READING
    Settings: ClassVar[type[PassagesSettings]] = PassagesSettings

    def __init__(self, settings: PassagesSettings) -> None:
        """Raises InputError for what cannot be read, and where one title is said to be in two splits."""
        super().__init__(settings)
        self.language = settings.language
        entries = read_passages(settings.path, settings.language)
        said = _said(entries)
        silent = [entry.title for entry in entries if entry.title not in said]
        parts: dict[str, Part] = {**said, **share_out(silent, settings.shares, settings.order_seed)}
        self.notes = _left_out(settings.path)
        self._pools = {part: tuple(entry for entry in entries if parts[entry.title] == part) for part in PARTS}

    @property
    def counts(self) -> dict[Part, int]:
        """How many passages each part has."""
        return {part: len(pool) for part, pool in self._pools.items()}

    def problems(self, split: Split, count: int, seed: int) -> tuple[Problem, ...]:
        """The first ``count`` passages of a split in the seed's order. Raises InputError for more than there are."""
        chosen = take(self._pools[split], split, count, seed, str(self.settings.path))
        return tuple(entry.problem() for entry in chosen)

    def controls(self, count: int, seed: int) -> tuple[Question, ...]:
        """Up to ``count`` questions of the kind ``skill``: to be answered from a passage that is told, of no split."""
        return looked_up(self._pools["controls"], count, stream(seed, "passages", "controls"))


def _said(entries: tuple[Passage, ...]) -> dict[str, Part]:
    said: dict[str, Part] = {}
    for entry in entries:
        if entry.split is not None and said.setdefault(entry.title, entry.split) != entry.split:
            problem = f"{entry.title!r} is in {entry.split}, but another passage of this title in {said[entry.title]}"
            raise InputError(entry.where, problem, "keep all passages of a title in one split")
    return said


def read_passages(path: Path, language: str = "en") -> tuple[Passage, ...]:
    """All passages of a ``.jsonl``, ``.md`` or ``.markdown`` file, or of a folder with such files, in order of names.

    At any depth; the case of a suffix does not matter. What is hidden in the folder is not read.

    Raises InputError where there is none, and for the first passage that breaks a rule.
    """
    if not path.exists():
        raise InputError(str(path), "there is no such file or folder", "give a folder of .md files, or a .jsonl file")
    entries = [entry for file in _files(path)[0] for entry in _read(file, path, language)]
    if not entries:
        raise InputError(str(path), "no passages are in it", f"in a .md file, {FORM}")
    seen: dict[tuple[str, str], str] = {}
    for entry in entries:
        before = seen.setdefault((entry.title, entry.text), entry.where)
        if before != entry.where:
            raise InputError(entry.where, f"{entry.title!r} is the same passage as in {before}", "keep one of them")
    return tuple(entries)


def mistakes(path: Path, language: str = "en") -> list[InputError]:
    """What is wrong with each file that :func:`read_passages` would read, one error a file."""
    found = list[InputError]()
    for file in _files(path)[0] if path.exists() else ():
        try:
            list(_read(file, path, language))
        except InputError as error:
            found.append(error)
    return found


def weak_questions(entries: Iterable[Passage], language: str = "en") -> tuple[str, ...]:
    """What makes an exam of these passages worth less, a line for each kind with one example.

    A question, or the title that is asked along, tells its answer; an answer of one hop stands nowhere in its passage.
    """
    telling, untold = list[str](), list[str]()
    for entry in entries:
        for question, answers in entry.questions + entry.two_hop:
            if any(contains(asked(entry.title, question), answer, language) for answer in answers):
                telling.append(f"{question!r} in {entry.where}")
        for _, answers in entry.questions:
            if not any(contains(entry.text, answer, language) for answer in answers):
                untold.append(f"{answers[0]!r} in {entry.where}")
    kinds = (
        (telling, "tell their own answer, or their title does"),
        (untold, "have an answer that their passage does not have in these words"),
    )
    return tuple(f"{len(some)} questions {what}, such as {some[0]}" for some, what in kinds if some)


def _files(path: Path) -> tuple[list[Path], list[Path]]:
    """The files that hold passages, and the files of the folder that are left out; a file named by itself is read."""
    if path.is_file():
        return [path], []
    files = sorted(file for file in path.rglob("*") if file.is_file())
    used = [file for file in files if file.suffix.lower() in KINDS and not (_is_hidden(file, path) or _is_about(file))]
    return used, [file for file in files if file not in set(used)]


def _is_hidden(file: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(root).parts)


def _is_about(file: Path) -> bool:
    return file.stem.lower() == ABOUT and KINDS.get(file.suffix.lower()) == "markdown"


def _left_out(path: Path) -> tuple[str, ...]:
    names = [str(file.relative_to(path)) for file in _files(path)[1]]
    hidden = [name for name in names if any(part.startswith(".") for part in Path(name).parts)]
    about = [name for name in names if name not in set(hidden) and _is_about(Path(name))]
    other = [name for name in names if name not in {*hidden, *about}]
    kinds = ((hidden, "hidden"), (about, "about the folder"), (other, f"not {', '.join(KINDS)}"))
    return tuple(f"left out as {why}: {_named(some)}" for some, why in kinds if some)


def _named(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _read(file: Path, root: Path, language: str) -> Iterable[Passage]:
    folder = next((part for part in file.relative_to(root).parts[:-1] if part in PARTS), None) if file != root else None
    split = _split(folder, str(file)) if folder else None
    text = _text_of(file)
    kind = KINDS.get(file.suffix.lower())
    if kind is None:
        raise InputError(str(file), f"ends in {file.suffix!r}", f"passages are {', '.join(KINDS)} files")
    if kind == "lines":
        return _json_lines(text, file, split, language)
    return [_markdown(text, file, split, language)]


def _text_of(file: Path) -> str:
    """Its line ends are ``\\n`` alone: other separators, such as U+2028 and U+0085, are text like any other."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(str(file), f"cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(str(file), f"is not UTF-8 text (byte {error.start})", "save it as UTF-8") from error


def _split(word: object, where: str) -> Part:
    for part in PARTS:
        if word == part:
            return part
    raise InputError(where, f"split = {word!r} is none of {', '.join(PARTS)}", nearest(str(word), PARTS))


# -- Markdown


def _markdown(text: str, file: Path, split: Part | None, language: str) -> Passage:
    lines = text.removesuffix("\n").split("\n")
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    if not lines[first].startswith("# ") or not lines[first][2:].strip():
        raise InputError(f"{file}:{first + 1}", f"{lines[first].strip()[:60]!r} is not a title", FORM)
    section = next((number for number, line in enumerate(lines) if _SECTION.match(line)), None)
    if section is None:
        raise InputError(f"{file}:{len(lines)}", "there is no section `## Questions`", FORM)
    body = "\n".join(lines[first + 1 : section]).strip()
    if not body:
        raise InputError(f"{file}:{section + 1}", "there is no text between the title and its questions", FORM)
    told: list[Pair] = []
    two_hop: list[Pair] = []
    while section < len(lines):
        following = range(section + 1, len(lines))
        end = next((number for number in following if _SECTION.match(lines[number])), len(lines))
        pairs, heading = list(_pairs(lines, section + 1, end, file, language)), lines[section].strip()
        if not pairs:
            raise InputError(f"{file}:{section + 1}", f"there are no questions below `{heading}`", FORM)
        (two_hop if "hop" in heading.lower() else told).extend(pairs)
        section = end
    return Passage(lines[first][2:].strip(), body, tuple(told), str(file), split, tuple(two_hop))


def _pairs(lines: list[str], start: int, end: int, file: Path, language: str) -> Iterator[Pair]:
    question, answers, begun = "", list[str](), start
    for number in range(start, end):
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
            answers.append(check_answer(found["text"], language, where))
            continue
        if question:
            yield _pair(question, answers, f"{file}:{begun + 1}")
        question, answers, begun = found["text"], [], number
    if question:
        yield _pair(question, answers, f"{file}:{begun + 1}")


def _pair(question: str, answers: Iterable[str], where: str) -> Pair:
    distinct = tuple(dict.fromkeys(answers))
    if not distinct:
        raise InputError(where, f"the question {question[:60]!r} has no answer", "write an A: line below it")
    return question, distinct


# -- JSON Lines


def _json_lines(text: str, file: Path, split: Part | None, language: str) -> Iterator[Passage]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield _entry(line, f"{file}:{number}", split, language)


def _entry(line: str, where: str, split: Part | None, language: str) -> Passage:
    try:
        item = parse_json(line)
    except ValueError as error:
        raise InputError(where, f"is not JSON ({error})", "write one object on each line") from error
    if not isinstance(item, dict):
        raise InputError(where, f"holds a {type(item).__name__}, not an object", f"its fields are {', '.join(FIELDS)}")
    unknown = [key for key in item if key not in FIELDS]
    if unknown:
        raise InputError(where, f"unknown field {unknown[0]!r}", nearest(unknown[0], FIELDS))
    questions = item.get("questions")
    if not isinstance(questions, list) or not questions:
        raise InputError(where, f"questions = {shown(questions)} is not a list of questions", "give at least one")
    named = _split(item["split"], where) if "split" in item else split
    pairs: dict[str, list[Pair]] = {kind: [] for kind in QUESTION_KINDS}
    for index, one in enumerate(questions):
        kind, pair = _json_pair(one, f"{where}: questions[{index}]", language)
        pairs[kind].append(pair)
    title, body = (text_of(item, key, where, f"give {key} as a text that is not empty") for key in ("title", "text"))
    return Passage(title, body, tuple(pairs["knowledge"]), where, named, tuple(pairs["reasoning"]))


def _json_pair(item: Any, where: str, language: str) -> tuple[str, Pair]:
    if not isinstance(item, dict):
        raise InputError(where, f"{shown(item)} is not an object", "its fields are question and answers")
    answers = item.get("answers")
    if not isinstance(answers, list) or not all(isinstance(one, str) and one.strip() for one in answers):
        raise InputError(where, f"answers = {shown(answers)} is not a list of texts", "give every accepted answer")
    question = text_of(item, "question", where, "give question as a text that is not empty")
    kind = item.get("kind", "knowledge")
    if kind not in QUESTION_KINDS:
        rule = f"kind = {shown(kind)} is neither knowledge (told in the passage) nor reasoning (of two hops)"
        raise InputError(where, rule, nearest(str(kind), QUESTION_KINDS))
    return kind, _pair(question, [check_answer(one.strip(), language, where) for one in answers], where)
