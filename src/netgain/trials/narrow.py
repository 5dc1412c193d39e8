"""Narrowing: the words and settings of a trial become methods and domains, or an error that names their line."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Protocol, TypeVar, final

from pydantic import BaseModel, ValidationError

from netgain.domains.domain import Domain
from netgain.domains.leakage import leaks
from netgain.domains.problem import Problem, Split
from netgain.errors import InputError, nearest
from netgain.extensions import relative_to, source_digest
from netgain.methods.method import Method, Settings
from netgain.records.claim import BEST_CONVENTIONAL, Role
from netgain.strict_yaml import FieldPath, SourceLines, read_yaml
from netgain.trials.spec import ArmSpec, DomainSpec, TrialSpec

S = TypeVar("S", bound=BaseModel)


class DomainKind(Protocol):
    """What a kind of domain is: its settings' class, and how settings make it."""

    Settings: Any

    def __call__(self, settings: Any) -> Domain:
        """The domain. Raises InputError where its data cannot be read."""


FindMethod = Callable[[str, Path], type[Method]]
FindDomain = Callable[[str, Path], Any]  # a DomainKind
LEAKS = ("title", "passage", "question")  # what is shared word for word
UNRIVALLED = (Role.SELF_IMPROVING, Role.FROZEN)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """An arm with its method and settings. ``grid`` are the settings that tuning may try, beside those given.

    ``source`` is a digest of the method's own code where that is a user's, empty for what ships.
    """

    name: str
    label: str
    method: type[Method]
    settings: Settings
    grid: tuple[dict[str, Any], ...] = ()
    source: str = ""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """A spec whose words all mean something."""

    spec: TrialSpec
    arms: Mapping[str, Arm]
    domains: Mapping[str, Domain]
    files: tuple[str, ...] = field(default=())

    @property
    def conventional(self) -> tuple[str, ...]:
        """The arms among which the best conventional one is chosen."""
        return tuple(name for name, arm in self.arms.items() if arm.method.role not in UNRIVALLED)


def read_trial(path: Path, methods: Sequence[str] = (), options: Sequence[str] = ()) -> tuple[TrialSpec, SourceLines]:
    """The trial in a YAML file; each of ``methods`` (``file.py:Class``) is an arm more, named after its class.

    The arms are added before the trial is checked, so that it may say ``compare: {arm: mine}``; ``options``
    (``a.b=value``) stand in place of the file's fields. Raises InputError for whatever is wrong with the file, and
    where it has an arm of that name already.
    """
    return read_yaml(path, TrialSpec, options, lambda data: _with_methods(data, methods, path.parent))


def _with_methods(data: dict[str, Any], methods: Sequence[str], folder: Path) -> dict[str, Any]:
    arms = data.get("arms")
    if not methods or not isinstance(arms, dict):
        return data
    added: dict[str, Any] = {}
    for method in methods:
        name = method.rpartition(":")[2].lower()
        if name in arms or name in added:
            problem = f"the trial has an arm {name!r} already"
            raise InputError(f"--method {method}", problem, "give the class another name")
        added[name] = {"method": relative_to(method, folder)}
    return data | {"arms": {**arms, **added}}


def narrow(
    spec: TrialSpec, places: SourceLines, find_method: FindMethod, find_domain: FindDomain, *, data: bool = True
) -> Trial:
    """Every word and setting checked. Raises InputError with the line of the first that means nothing.

    Without ``data`` the domains' settings are checked and nothing is read: a plan can do without.
    """
    arms = {name: _arm(name, arm, places, find_method) for name, arm in spec.arms.items()}
    made = {name: _domain(name, domain, places, find_domain, data=data) for name, domain in spec.domains.items()}
    trial = Trial(spec, arms, {name: domain for name, domain in made.items() if domain is not None})
    _check_comparison(trial, places)
    return trial


def _arm(name: str, spec: ArmSpec, places: SourceLines, find_method: FindMethod) -> Arm:
    place: FieldPath = ("arms", name)
    try:
        method = find_method(spec.method, places.folder)
    except InputError as error:
        raise places.error((*place, "method"), f"{error.where}: {error.problem}", error.remedy) from None
    settings = _settings(spec, method, places, place)
    return Arm(name, spec.label or name, method, settings, _grid(spec, settings, places, place), source_digest(method))


def _settings(spec: ArmSpec, method: type[Method], places: SourceLines, place: FieldPath) -> Settings:
    preset: dict[str, Any] = {}
    if spec.preset is not None:
        if spec.preset not in method.presets:
            known = ", ".join(method.presets) or "it has none"
            problem = f"method {spec.method!r} has no preset {spec.preset!r} ({known})"
            raise places.error((*place, "preset"), problem, nearest(spec.preset, method.presets))
        preset = method.presets[spec.preset]
    return _validated(method.Settings, preset | spec.settings, places, place)


def _validated(shape: type[S], values: dict[str, Any], places: SourceLines, place: FieldPath) -> S:
    try:
        return shape.model_validate(values)
    except ValidationError as error:
        raise places.invalid(error, shape, place) from None


def _grid(spec: ArmSpec, settings: Settings, places: SourceLines, place: FieldPath) -> tuple[dict[str, Any], ...]:
    """Every combination of the values to try, each checked as settings are."""
    shape = type(settings)
    values: Mapping[str, Sequence[Any]] = shape.search if spec.tune is None else spec.tune
    for name in values:
        if name not in shape.model_fields:
            problem = f"unknown field {'.'.join(str(part) for part in (*place, 'tune', name))!r}"
            raise places.error((*place, "tune", name), problem, nearest(name, shape.model_fields))
        if not values[name]:
            raise places.error((*place, "tune", name), f"{name} has no value to try", "name at least one")
    given = settings.model_dump()
    combinations = [dict(zip(values, row, strict=True)) for row in product(*values.values())] if values else []
    for combination in combinations:
        _validated(shape, given | combination, places, (*place, "tune"))
    return tuple(combinations)


def _domain(name: str, spec: DomainSpec, places: SourceLines, find_domain: FindDomain, *, data: bool) -> Domain | None:
    place: FieldPath = ("domains", name)
    try:
        kind: DomainKind = find_domain(spec.kind, places.folder)
    except InputError as error:
        raise places.error((*place, "kind"), f"{error.where}: {error.problem}", error.remedy) from None
    settings = _validated(kind.Settings, spec.settings, places, place)
    try:
        return kind(settings) if data else None
    except InputError as error:
        raise places.error(place, f"{error.where}: {error.problem}", error.remedy) from None


def _check_comparison(trial: Trial, places: SourceLines) -> None:
    spec = trial.spec
    if spec.compare.against == BEST_CONVENTIONAL:
        if not trial.conventional:
            problem = "no arm is conventional (neither frozen nor self-improving)"
            raise places.error(("compare", "against"), problem, "name an arm, or add one")
        if spec.problems.development == 0:
            problem = "the best conventional arm is chosen on development problems, and there are none"
            raise places.error(("problems", "development"), problem, "ask for some, or name the arm to compare with")
    if spec.tuning.trials and spec.problems.development == 0 and any(arm.grid for arm in trial.arms.values()):
        problem = "settings are tried on development problems, and there are none"
        raise places.error(("problems", "development"), problem, "ask for some, or set tuning.trials to 0")
    if spec.problems.train == 0 and any(arm.method.learns for arm in trial.arms.values()):
        raise places.error(("problems", "train"), "an arm learns, and there are no training problems", "ask for some")


def check_problems(trial: Trial, places: SourceLines) -> None:
    """Raise InputError where the domains cannot give what the trial asks of them, before anything is spent: as many
    problems, questions of the kind that is compared, and splits that share no title, passage or question."""
    spec = trial.spec
    learns = any(arm.method.learns for arm in trial.arms.values())
    for name, domain in trial.domains.items():
        test = _problems(domain, "test", spec.problems.test, spec, places)
        development = _problems(domain, "development", spec.problems.development, spec, places)
        train = _problems(domain, "train", spec.problems.train if learns else 0, spec, places)
        kinds = {question.kind for problem in test for question in problem.questions}
        if spec.compare.domain in (None, name) and spec.compare.exam not in kinds:
            problem = f"compare.exam = {spec.compare.exam!r}: no question of {name} is of this kind"
            raise places.error(("compare", "exam"), problem, nearest(spec.compare.exam, sorted(kinds)))
        shared = [leak for leak in leaks(train, development, test) if leak.kind in LEAKS]
        if shared:
            first, more = shared[0], f" ({len(shared)} in all)" if len(shared) > 1 else ""
            problem = (
                f"the exam leaks: {first.first} and {first.second} share a {first.kind}, {first.detail[:80]!r}{more}"
            )
            raise places.error(("domains", name), problem, "keep what is asked in one split")


def _problems(domain: Domain, split: Split, count: int, spec: TrialSpec, places: SourceLines) -> tuple[Problem, ...]:
    try:
        return domain.problems(split, count, spec.seed) if count else ()
    except InputError as error:
        raise places.error(("problems", split), f"{error.where}: {error.problem}", error.remedy) from None
