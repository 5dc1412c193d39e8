"""Strict YAML: every error is one line with file, line, rule and, for an unknown word, the nearest valid one."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, final, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from netgain.errors import InputError, nearest

LARGEST = 1024 * 1024
MOST_ALIASES = 50

M = TypeVar("M", bound=BaseModel)


FieldPath = tuple[str | int, ...]
Change = Callable[[dict[str, Any]], dict[str, Any]]


@final
@dataclass(frozen=True, slots=True)
class SourceLines:
    """Where the fields of a file stand, so that an error which is found later still names the file and the line."""

    path: str
    lines: Mapping[FieldPath, int] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """What paths in the file are relative to."""
        return Path(self.path).parent

    def where(self, place: FieldPath) -> str:
        """``file:line`` of the field at ``place``, or of the nearest one above it; the path alone without lines."""
        return f"{self.path}:{_line(place, self.lines)}" if self.lines else self.path

    def error(self, place: FieldPath, problem: str, remedy: str = "") -> InputError:
        """An error about the field at ``place``."""
        return InputError(self.where(place), problem, remedy)

    def invalid(self, error: ValidationError, shape: type[BaseModel], place: FieldPath = ()) -> InputError:
        """The first of the problems that pydantic found in the fields below ``place``, which ``shape`` describes."""
        problems = error.errors(include_url=False)
        order = [(p["type"] != "extra_forbidden", _line((*place, *p["loc"]), self.lines)) for p in problems]
        first = problems[order.index(min(order))]
        loc = first["loc"]
        name = ".".join(str(part) for part in (*place, *loc))
        more = f" ({len(problems)} problems in all)" if len(problems) > 1 else ""
        if first["type"] == "extra_forbidden":
            remedy = nearest(str(loc[-1]), _fields(shape, loc[:-1]))
            return self.error((*place, *loc), f"unknown field {name!r}{more}", remedy)
        rule = first["msg"].removeprefix("Value error, ")
        value = "" if first["type"] in {"missing", "value_error"} else f" = {_shown(first['input'])}"
        return self.error((*place, *loc), f"{name}{value}: {rule}{more}" if name else f"{rule}{more}")


def load_yaml(path: Path, shape: type[M]) -> M:
    """Read a YAML file into a pydantic model. Raises InputError naming ``file:line`` for whatever is wrong with it."""
    return read_yaml(path, shape)[0]


def read_yaml(path: Path, shape: type[M], change: Change = dict) -> tuple[M, SourceLines]:
    """As :func:`load_yaml`, with the places of all fields. ``change`` makes of what the file holds what is checked."""
    text = _text(path)
    data, lines = _parse(path, text)
    if not isinstance(data, dict):
        raise InputError(f"{path}:1", f"holds {_kind(data)}, not a mapping of fields")
    places = SourceLines(str(path), lines)
    try:
        return shape.model_validate(change(data)), places
    except ValidationError as error:
        raise places.invalid(error, shape) from None


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
    """The safe loader, with duplicate keys an error."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    result: dict[Hashable, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, Hashable) or key in result:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is used twice", key_node.start_mark)
        result[key] = loader.construct_object(value_node, deep=True)
    return result


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _parse(path: Path, text: str) -> tuple[Any, dict[FieldPath, int]]:
    try:
        aliases = sum(isinstance(event, yaml.events.AliasEvent) for event in yaml.parse(text, Loader=_Loader))
        if aliases > MOST_ALIASES:
            raise InputError(str(path), f"uses {aliases} aliases", f"at most {MOST_ALIASES} are read")
        node = yaml.compose(text, Loader=_Loader)
        # The loader derives from SafeLoader: it builds plain values only.
        return yaml.load(text, Loader=_Loader), _lines(node)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{path}:{line}", error.problem or "is not YAML") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(str(path), f"is not YAML that can be read: {error}") from None


def _lines(node: yaml.Node | None, place: FieldPath = ()) -> dict[FieldPath, int]:
    if node is None:
        return {}
    found: dict[FieldPath, int] = {place: node.start_mark.line + 1}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            found |= _lines(value, (*place, key.value))
            found[(*place, key.value)] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            found |= _lines(value, (*place, index))
    return found


def _line(place: FieldPath, lines: Mapping[FieldPath, int]) -> int:
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, 1)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


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
