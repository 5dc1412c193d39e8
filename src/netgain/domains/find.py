"""Finding a domain by its kind, by entry points of the group ``netgain.domains``; the built-in ones come so too.

A domain's class has ``Settings``, a pydantic model, and is made from one.
"""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from netgain.domains.problem import Domain
from netgain.errors import InputError, nearest

GROUP = "netgain.domains"


class DomainType(Protocol):
    """The class of a domain: it is made from its settings."""

    @property
    def Settings(self) -> type[BaseModel]:  # noqa: N802 - a class
        """What may be set."""

    def __call__(self, settings: Any) -> Domain:
        """The domain."""


def find_domain(kind: str) -> DomainType:
    """The class of this kind. Raises InputError with the nearest kind where none is installed."""
    known = {entry.name: entry for entry in entry_points(group=GROUP)}
    if kind not in known:
        remedy = nearest(kind, known) or "install netgain as a package, so that its entry points are known"
        raise InputError(f"domain kind {kind!r}", "no domain of this kind is installed", remedy)
    return _load(known[kind])


def _load(entry: EntryPoint) -> DomainType:
    try:
        found: DomainType = entry.load()
    except (ImportError, AttributeError) as problem:
        raise InputError(f"domain kind {entry.name!r}", f"{entry.value} cannot be loaded ({problem})") from problem
    if not (isinstance(getattr(found, "Settings", None), type) and issubclass(found.Settings, BaseModel)):
        raise InputError(f"domain kind {entry.name!r}", f"{entry.value} has no Settings", "give it a pydantic model")
    return found


def make_domain(kind: str, settings: Mapping[str, Any], *, where: str = "", base: Path | None = None) -> Domain:
    """The domain of this kind with these settings; paths in them are relative to ``base``.

    Raises InputError, beginning with ``where`` (such as a trial's file and field), for an unknown kind or field, with
    the nearest that there is, and for a value that breaks a rule.
    """
    found = find_domain(kind)
    begin = where or f"domain kind {kind!r}"
    try:
        checked = found.Settings.model_validate(dict(settings))
    except ValidationError as error:
        raise _first_problem(error, found.Settings, begin) from None
    paths = {name: base / value for name, value in checked if base is not None and isinstance(value, Path)}
    return found(checked.model_copy(update=paths))


def _first_problem(error: ValidationError, shape: type[BaseModel], where: str) -> InputError:
    problems = error.errors(include_url=False)
    first = min(problems, key=lambda problem: problem["type"] != "extra_forbidden")
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        valid = shape.model_fields if len(first["loc"]) == 1 else ()
        return InputError(where, f"unknown setting {name!r}", nearest(name, valid))
    rule = first["msg"].removeprefix("Value error, ")
    return InputError(where, f"{name} = {first['input']!r}: {rule}" if name else rule)
