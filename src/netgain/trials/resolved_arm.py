"""An arm of a trial with everything that its words mean: the method, its settings, and what tuning varies in it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar, final

from pydantic import BaseModel, ValidationError

from netgain.errors import InputError, nearest
from netgain.extensions import files_digest, said_by, source_digest
from netgain.isolation.user_method import UserMethod
from netgain.methods.method import Method, Settings
from netgain.records.claim import Role
from netgain.records.identity import digest
from netgain.strict_yaml import FieldPath, SourceLines
from netgain.trials.spec import ArmSpec, TrialSpec

S = TypeVar("S", bound=BaseModel)
FindMethod = Callable[[str, Path], type[Method]]  # by name; the folder is that of the file which names it


@final
@dataclass(frozen=True, slots=True, eq=False)
class ResolvedArm:
    """An arm with its method and settings. ``knobs`` are the settings that tuning varies, each with the values to try
    beside the one given; ``fixed`` those that other arms vary and this one does not.

    ``source`` is a digest of the method's own code where that is a user's, a script's included; empty for what ships.
    """

    name: str
    label: str
    method: type[Method]
    settings: Settings
    knobs: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    fixed: tuple[str, ...] = ()
    source: str = ""

    def values_of(self, name: str) -> list[Any]:
        """All that a setting may be in this trial; nothing for one that the arm does not have."""
        settings = self.settings.model_dump()
        return [settings[name], *self.knobs.get(name, ())] if name in settings else []

    def given(self, tuned: Mapping[str, Any] | None) -> Settings:
        """The settings that a task starts from: those that the arm was tuned to, or those that it was given."""
        return self.settings if tuned is None else type(self.settings).model_validate(tuned)


def present(spec: TrialSpec) -> tuple[TrialSpec, tuple[str, ...]]:
    """The trial without the arms that need an extra which is not installed, and a line on each of them."""
    missing = {name: arm.needs for name, arm in spec.arms.items() if arm.needs and find_spec(arm.needs) is None}
    lines = tuple(
        f"arm {name!r} is left out: it needs {extra}, which is not here: pip install 'netgain[{extra}]'"
        for name, extra in missing.items()
    )
    arms = {name: arm for name, arm in spec.arms.items() if name not in missing}
    return (spec.model_copy(update={"arms": arms}) if missing else spec), lines


def _check_bound(spec: TrialSpec, arms: Mapping[str, ResolvedArm], lines: SourceLines) -> None:
    """Neither of the two that are compared is an upper bound. Raises InputError at its line."""
    for key, name in (("arm", spec.compare.arm), ("against", spec.compare.against)):
        if name in arms and arms[name].method.role is Role.ORACLE:
            problem = f"compare.{key} = {name!r}: chooses by the exam's own labels, and no verdict is on an upper bound"
            raise lines.error(("compare", key), problem, "name another arm; this one is shown beside them")


def validated(fields: Mapping[str, Any], shape: type[S], lines: SourceLines, at: FieldPath = ()) -> S:
    """These fields, which stand below ``at``, as a model. Raises InputError with the line of the first problem."""
    try:
        return shape.model_validate(dict(fields))
    except ValidationError as error:
        raise lines.invalid(error, shape, at) from None
    except Exception as error:  # a validator of somebody's own
        raise lines.error(at, f"{shape.__name__}: {said_by(error)}", "mend it, or what it is given") from error


def resolve_arm(name: str, spec: ArmSpec, lines: SourceLines, find_method: FindMethod) -> ResolvedArm:
    at: FieldPath = ("arms", name)
    try:
        method = find_method(spec.method, lines.folder)
    except InputError as error:
        raise lines.error((*at, "method"), f"{error.where}: {error.problem}", error.remedy) from None
    settings = _settings(spec, method, lines, at)
    for knob in spec.fixed:
        if knob not in method.Settings.model_fields:
            problem = f"unknown field {'.'.join((*map(str, at), 'fixed', knob))!r}"
            raise lines.error((*at, "fixed"), problem, nearest(knob, method.Settings.model_fields))
    knobs = _knobs(spec, settings, lines, at)
    source = _source(method) or files_digest([lines.folder / file for file in settings.files])
    return ResolvedArm(name, spec.label or name, method, settings, knobs, spec.fixed, source)


def _source(method: type[Method]) -> str:
    """A digest of the user's file that a method is written in; empty for what ships."""
    if issubclass(method, UserMethod):
        return digest("method", method.source_file.read_bytes().decode("utf-8", "backslashreplace"))
    return source_digest(method)


def _settings(spec: ArmSpec, method: type[Method], lines: SourceLines, at: FieldPath) -> Settings:
    preset: dict[str, Any] = {}
    if spec.preset is not None:
        if spec.preset not in method.presets:
            known = ", ".join(method.presets) or "it has none"
            problem = f"method {spec.method!r} has no preset {spec.preset!r} ({known})"
            raise lines.error((*at, "preset"), problem, nearest(spec.preset, method.presets))
        preset = method.presets[spec.preset]
    return validated(preset | spec.settings, method.Settings, lines, at)


def _knobs(spec: ArmSpec, settings: Settings, lines: SourceLines, at: FieldPath) -> dict[str, tuple[Any, ...]]:
    """What the arm itself, or its method, would vary; every value is checked as a setting is."""
    shape = type(settings)
    for name, values in (spec.tune or {}).items():
        if name not in shape.model_fields:
            problem = f"unknown field {'.'.join(str(part) for part in (*at, 'tune', name))!r}"
            raise lines.error((*at, "tune", name), problem, nearest(name, shape.model_fields))
        if not values:
            raise lines.error((*at, "tune", name), f"{name} has no value to try", "name at least one")
        for value in values:
            validated(settings.model_dump() | {name: value}, shape, lines, (*at, "tune"))
    return {name: tuple(values) for name, values in (shape.search if spec.tune is None else spec.tune).items()}


def tuned_alike(spec: TrialSpec, arms: Mapping[str, ResolvedArm], lines: SourceLines) -> dict[str, ResolvedArm]:
    """Every knob in every arm that has such a setting: what one arm may tune, all may.

    The trial's own knobs stand in place of what methods would search; what arms name under ``tune`` joins them.
    Raises InputError where one of the two that are compared is an upper bound, which nothing is tuned for.
    """
    _check_bound(spec, arms, lines)
    shared: dict[str, list[Any]] = {name: list(values) for name, values in spec.tuning.knobs.items()}
    for name, arm in arms.items():
        stated = spec.arms[name].tune is not None or not spec.tuning.knobs
        for knob, values in arm.knobs.items() if stated else ():
            if knob in arm.settings.private:
                continue
            known = shared.setdefault(knob, [])
            known += [value for value in values if value not in known]
    for knob in spec.tuning.knobs:
        if not any(knob in arm.method.Settings.model_fields for arm in arms.values()):
            problem = f"tuning.knobs.{knob}: no arm has a setting of this name"
            every = {name for arm in arms.values() for name in arm.method.Settings.model_fields}
            raise lines.error(("tuning", "knobs", knob), problem, nearest(knob, sorted(every)))
    return {name: replace(arm, **_own(arm, shared, lines)) for name, arm in arms.items()}


def _own(arm: ResolvedArm, shared: Mapping[str, Sequence[Any]], lines: SourceLines) -> dict[str, Any]:
    """The shared knobs that an arm has, in sound values, and those among them that it keeps fixed."""
    shape, given = type(arm.settings), arm.settings.model_dump()
    mine = {name: values for name, values in shared.items() if arm.settings.tunes(name)}
    mine |= {name: values for name, values in arm.knobs.items() if name in arm.settings.private}
    for name, values in mine.items():
        for value in values:
            validated(given | {name: value}, shape, lines, ("tuning", "knobs", name))
    free = {name: tuple(values) for name, values in mine.items() if name not in arm.fixed}
    return {"knobs": free, "fixed": tuple(name for name in mine if name in arm.fixed)}
