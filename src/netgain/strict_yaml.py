"""Strict YAML: every error is one line with file, line, rule and, for an unknown word, the nearest valid one."""

import math
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, final, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from netgain.errors import InputError, nearest, shown

LARGEST = 1024 * 1024
MOST_ALIASES = 50
MOST_VALUES = 20_000  # that stand in a file, or that its aliases stand for
MOST_READ = 200_000  # in one that no person wrote
DEEPEST = 60
LONGEST_OPTION = 200  # characters of it that an error repeats
LONGEST_NUMBER = 300  # digits; the largest number that a float holds has 309

M = TypeVar("M", bound=BaseModel)


FieldPath = tuple[str | int, ...]
Change = Callable[[dict[str, Any]], dict[str, Any]]


@final
@dataclass(frozen=True, slots=True)
class SourceLines:
    """Where the fields of a file stand, so that an error which is found later still names the file and the line.

    ``options`` are the fields that the command line set, with the option as it was written.
    """

    path: str
    lines: Mapping[FieldPath, int] = field(default_factory=dict)
    options: Mapping[FieldPath, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """What paths in the file are relative to."""
        return Path(self.path).parent

    def where(self, place: FieldPath) -> str:
        """``file:line`` of the field at ``place``, or of the nearest one above it; the path alone without lines.

        The option instead, where the field was set on the command line; both, where something in the field was.
        """
        for end in range(len(place), 0, -1):
            if place[:end] in self.options:
                return self.options[place[:end]]
        within = [option for inner, option in self.options.items() if inner[: len(place)] == place]
        line = f"{self.path}:{_line(place, self.lines)}" if self.lines else self.path
        return f"{line} with {' '.join(within)}" if within else line

    def error(self, place: FieldPath, problem: str, remedy: str = "") -> InputError:
        """An error about the field at ``place``."""
        return InputError(self.where(place), problem, remedy)

    def invalid(self, error: ValidationError, shape: type[BaseModel], place: FieldPath = ()) -> InputError:
        """The first of the problems that pydantic found in the fields below ``place``, which ``shape`` describes."""
        first, *rest = self.all_invalid(error, shape, place)
        more = f" ({len(rest) + 1} problems in all)" if rest else ""
        return InputError(first.where, f"{first.problem}{more}", first.remedy)

    def all_invalid(self, error: ValidationError, shape: type[BaseModel], place: FieldPath = ()) -> list[InputError]:
        """All of them, unknown fields first, then as they stand in the file."""
        problems = error.errors(include_url=False)
        problems.sort(key=lambda p: (p["type"] != "extra_forbidden", _line((*place, *p["loc"]), self.lines)))
        return [self._problem(problem, shape, place) for problem in problems]

    def _problem(self, problem: ErrorDetails, shape: type[BaseModel], place: FieldPath) -> InputError:
        loc = problem["loc"]
        name = ".".join(str(part) for part in (*place, *loc))
        if problem["type"] == "extra_forbidden":
            remedy = nearest(str(loc[-1]), _fields(shape, loc[:-1]))
            return self.error((*place, *loc), f"unknown field {name!r}", remedy)
        rule = problem["msg"].removeprefix("Value error, ")
        value = "" if problem["type"] in {"missing", "value_error"} else f" = {shown(problem['input'])}"
        # A word such as on, or a date, that stands where a text is wanted: YAML had it read as something else.
        misread = problem["type"] in {"string_type", "literal_error"} and isinstance(
            problem["input"], bool | int | date
        )
        remedy = "quote it, if it is a text" if misread else ""
        return self.error((*place, *loc), f"{name}{value}: {rule}" if name else rule, remedy)


def load_yaml(path: Path, shape: type[M]) -> M:
    """Read a YAML file into a pydantic model. Raises InputError naming ``file:line`` for whatever is wrong with it."""
    return read_yaml(path, shape)[0]


def read_yaml(path: Path, shape: type[M], options: Sequence[str] = (), change: Change = dict) -> tuple[M, SourceLines]:
    """As :func:`load_yaml`, with the places of all fields. ``change`` makes of what the file holds what is checked.

    Each of ``options`` is ``a.b=value`` (the value in YAML) and sets a field after that; the last one of a field
    counts. Raises InputError naming the option for a path that leads nowhere.
    """
    data, places = read_fields(path, shape, options, change)
    try:
        return shape.model_validate(data), places
    except ValidationError as error:
        raise places.invalid(error, shape) from None


def read_fields(
    path: Path, shape: type[BaseModel], options: Sequence[str] = (), change: Change = dict
) -> tuple[dict[str, Any], SourceLines]:
    """The fields of a YAML file, changed and with those that ``options`` set, not yet checked; and their places."""
    found, lines = _parse(path, _text(path))
    if not isinstance(found, dict):
        raise InputError(f"{path}:1", f"holds {_kind(found)}, not a mapping of fields")
    data = change(found)
    said: dict[FieldPath, str] = {}
    for option in options:
        dotted, equals, value = option.partition("=")
        where = f"--set {option}" if len(option) <= LONGEST_OPTION else f"--set {option[:LONGEST_OPTION]}..."
        if not equals or not dotted:
            raise InputError(where, "is not PATH=VALUE", "for example --set seeds=1 or --set arms.seal.rounds=2")
        said[_put(data, dotted.split("."), _value(value, where), shape, where)] = where
    return data, SourceLines(str(path), lines, said)


def _value(text: str, where: str) -> Any:
    try:
        return _built(text)[0]
    except _Misread as error:
        raise InputError(where, error.told, error.remedy) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(where, f"the value is not YAML: {str(error).partition(chr(10))[0]}") from None


def _put(data: Any, parts: list[str], value: Any, shape: type[BaseModel], where: str) -> FieldPath:
    """Set the field that a dotted path names, and return its place. A mapping that the file leaves out is made."""
    place: list[str | int] = []
    while True:
        inner = ".".join(str(part) for part in place)
        if isinstance(data, list):
            key: str | int = _index(data, parts[0], inner, where)
            parts = parts[1:]
        elif isinstance(data, dict):
            # A name may hold dots itself: the longest one that is there counts.
            ends = [end for end in range(len(parts), 0, -1) if ".".join(parts[:end]) in data]
            key, parts = ".".join(parts[: ends[0] if ends else 1]), parts[ends[0] if ends else 1 :]
            valid = [*map(str, data), *_fields(shape, tuple(place))]
            if parts and key not in valid:
                within = f" in {inner!r}" if inner else ""
                raise InputError(where, f"there is no {key!r}{within}", nearest(key, dict.fromkeys(valid)))
        else:
            raise InputError(where, f"{inner!r} is {_kind(data)}, which has no fields", f"set {inner} itself")
        place.append(key)
        if not parts:
            data[key] = value
            return tuple(place)
        if isinstance(data, dict):
            data.setdefault(key, {})
        data = data[key]


def _index(items: list[Any], part: str, inner: str, where: str) -> int:
    if not part.isdecimal() or int(part) >= len(items):
        raise InputError(where, f"{inner!r} is a list of {len(items)}", "name an item by its number, from 0 on")
    return int(part)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(str(path), f"is larger than {LARGEST // 1024} KiB", "a card or trial is a small file")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(str(path), "is not UTF-8 text") from None


@final
class _Loader(yaml.SafeLoader):
    """The safe loader, with duplicate keys an error, and so are keys and numbers that it reads as something else."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.named: dict[yaml.Node, str] = {}  # the fields that values stand in

    def field(self, node: yaml.Node) -> str:
        """The field that a value stands in, as an error begins."""
        return f"{shown(self.named[node])[1:-1]} = " if node in self.named else ""


@final
class _Misread(yaml.MarkedYAMLError):
    """Something that is YAML, and means something else than what stands there."""

    def __init__(self, node: yaml.Node | yaml.Event, problem: str, remedy: str) -> None:
        mark: Any = node.start_mark  # which what was parsed always has
        super().__init__(None, None, problem, mark)
        self.told, self.remedy, self.line = problem, remedy, mark.line + 1


MERGE, TEXT, NUMBER = (f"tag:yaml.org,2002:{name}" for name in ("merge", "str", "int"))
# What YAML 1.1 reads otherwise than it stands: 010 is eight, and 1:30 is ninety (a number to the base of 60).
READ_AS = {"bool": "yes or no", "null": "nothing", "timestamp": "a date", "int": "a number", "float": "a number"}
_OCTAL, _SEXAGESIMAL = re.compile(r"[-+]?0[0-7_]+"), re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")


def _text_of(loader: _Loader, node: yaml.ScalarNode) -> str:
    if "\0" in node.value or any("\ud800" <= character <= "\udfff" for character in node.value):
        problem = "holds NUL, or half of a surrogate pair, which is no character"
        raise _Misread(node, f"{loader.field(node)}{shown(node.value)} {problem}", "write the character itself")
    return str(node.value)


def _number(loader: _Loader, node: yaml.ScalarNode) -> Any:
    written = node.value
    if len(written) > LONGEST_NUMBER:
        problem = f"{loader.field(node)}{shown(written)} is a number of {len(written)} digits"
        raise _Misread(node, problem, "quote it, if it is a text")
    if _SEXAGESIMAL.fullmatch(written):
        raise _Misread(node, f"YAML reads {written} as a number to the base of 60", f"quote it: '{written}'")
    if node.tag == NUMBER and _OCTAL.fullmatch(written):
        value, plain = loader.construct_yaml_int(node), int(written)
        if value != plain:
            remedy = f"write {plain} or {value}, or quote it: '{written}'"
            raise _Misread(node, f"YAML reads {written} as an octal number, {value}", remedy)
    found = loader.construct_yaml_int(node) if node.tag == NUMBER else loader.construct_yaml_float(node)
    if isinstance(found, float) and math.isinf(found) and "inf" not in written.lower():
        problem = f"{loader.field(node)}{written} is larger than any number that can be held"
        raise _Misread(node, problem, "write .inf for no bound")
    return found


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    result: dict[Hashable, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise _Misread(key_node, "the name of a field is no text", "write `name: value`")
        if key_node.tag != TEXT:
            kind = READ_AS.get(key_node.tag.rpartition(":")[2], "something else")
            problem = f"YAML reads the name {key_node.value} as {kind}"
            raise _Misread(key_node, problem, f"quote it: '{key_node.value}'")
        key = loader.construct_object(key_node, deep=True)
        if key in result:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is used twice", key_node.start_mark)
        loader.named[value_node] = str(key)
        result[key] = loader.construct_object(value_node, deep=True)
    return result


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.add_constructor(NUMBER, _number)
_Loader.add_constructor(TEXT, _text_of)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)


def plain_yaml(text: str) -> Any:
    """What a text of YAML holds, of bounded size and depth, read as anyone reads it. Raises YAMLError or ValueError."""
    _measure(text, yaml.SafeLoader, MOST_READ)
    return yaml.safe_load(text)


def _measure(text: str, loader: type[yaml.SafeLoader], most: int = MOST_VALUES) -> None:
    """Go through a text without making anything of it: 529 bytes of aliases of aliases stand for gigabytes."""
    sizes: dict[str, int] = {}  # of what an anchor stands for
    opened: list[tuple[str | None, int]] = []  # the anchors that we are in, and how much there was before
    values = aliases = 0
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            sizes |= {anchor: values - before} if anchor else {}
            continue
        if isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, values))
        if isinstance(event, yaml.AliasEvent):
            values, aliases = values + sizes.get(str(event.anchor), 0), aliases + 1
        elif isinstance(event, yaml.NodeEvent):
            values += 1
            if isinstance(event, yaml.ScalarEvent) and event.anchor:
                sizes[event.anchor] = 1
        if aliases > MOST_ALIASES and most == MOST_VALUES:
            raise _Misread(event, f"uses more than {MOST_ALIASES} aliases", "write out what they stand for")
        if values > most or len(opened) > DEEPEST:
            deep = f"is nested deeper than {DEEPEST}"
            problem = f"holds more than {most} values, aliases included" if values > most else deep
            raise _Misread(event, problem, "a card or trial is a small file")


def _built(text: str) -> tuple[Any, yaml.Node | None]:
    """What a text of YAML holds, and the nodes it was made of, with every merge key (``<<``) done."""
    _measure(text, _Loader)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, None
        _merge(node, set())
        return loader.construct_document(node), node
    finally:
        loader.dispose()


def _merge(node: yaml.Node, done: set[yaml.Node]) -> None:
    """Put the fields that ``<<`` names into the mappings below a node: what stands there itself counts before them,
    and of several mappings the first that has the field (yaml.org/type/merge.html)."""
    if node in done or not isinstance(node, yaml.MappingNode | yaml.SequenceNode):
        return
    done.add(node)
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _merge(item, done)
        return
    for key, value in node.value:
        _merge(key, done)
        _merge(value, done)
    own = [(key, value) for key, value in node.value if key.tag != MERGE]
    named = {key.value for key, _ in own if isinstance(key, yaml.ScalarNode)}
    for key, value in node.value:
        if key.tag != MERGE:
            continue
        for mapping in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            if not isinstance(mapping, yaml.MappingNode):
                raise _Misread(key, "<< takes a mapping, or a list of them", "name one by its anchor, as in <<: *name")
            for inner, field_node in mapping.value:
                if inner.tag == MERGE:
                    raise _Misread(key, "<< names a mapping that it stands in", "name another one")
                if isinstance(inner, yaml.ScalarNode) and inner.value not in named:
                    own.append((inner, field_node))
                    named.add(inner.value)
    node.value = own


def _parse(path: Path, text: str) -> tuple[Any, dict[FieldPath, int]]:
    try:
        built, node = _built(text)
        return built, _lines(node)
    except _Misread as error:
        raise InputError(f"{path}:{error.line}", error.told, error.remedy) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        tagged = "write it without a tag, and quote it if it is a text" if "for the tag" in str(error.problem) else ""
        raise InputError(f"{path}:{line}", error.problem or "is not YAML", tagged) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(str(path), f"is not YAML that can be read: {error}") from None


def _lines(node: yaml.Node | None) -> dict[FieldPath, int]:
    found: dict[FieldPath, int] = {}
    waiting: list[tuple[yaml.Node, FieldPath]] = [] if node is None else [(node, ())]
    while waiting:
        node, place = waiting.pop()
        found.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                found[(*place, key.value)] = key.start_mark.line + 1
                waiting.append((value, (*place, key.value)))
        elif isinstance(node, yaml.SequenceNode):
            waiting += [(value, (*place, index)) for index, value in enumerate(node.value)]
    return found


def _line(place: FieldPath, lines: Mapping[FieldPath, int]) -> int:
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, 1)


def _fields(shape: type[BaseModel], place: FieldPath) -> list[str]:
    """The field names that are valid at a place inside a model, following nested models, lists and mappings."""
    current: Any = shape
    for part in place:
        current = _step(current, part)
    found = _unwrapped(current, _is_model)
    return list(found.model_fields) if found else []


def _step(annotation: Any, part: str | int) -> Any:
    """The annotation one level down: a model's field, a mapping's value, a sequence's item."""
    model = _unwrapped(annotation, _is_model)
    if model:
        field = model.model_fields.get(part)
        return field.annotation if field else None
    container = _unwrapped(annotation, lambda inner: get_origin(inner) in {dict, list, tuple})
    return get_args(container)[-1 if get_origin(container) is dict else 0] if container else None


def _unwrapped(annotation: Any, wanted: Callable[[Any], bool]) -> Any:
    """The first alternative of a union (or the annotated type itself) that is wanted, else None."""
    if wanted(annotation):
        return annotation
    if get_origin(annotation) in {Union, UnionType, Annotated}:
        return next((found for inner in get_args(annotation) if (found := _unwrapped(inner, wanted))), None)
    return None


def _is_model(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)


def _kind(value: object) -> str:
    return {list: "a list", str: "a text", type(None): "nothing"}.get(type(value), f"a {type(value).__name__}")
