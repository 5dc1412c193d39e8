"""Resolving: the words, settings and paths of a trial become methods, domains and folders, once.

What is wrong is an error that names its line. What is written in a file is relative to that file: the folder of a
model, the paths of a domain, ``file.py:Class``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, final

from pydantic import ValidationError

import netgain
from netgain import model as door
from netgain.domains.domain import Domain, DomainSettings
from netgain.domains.leakage import leaks
from netgain.domains.problem import Material, Problem, Prompts, Question, Split
from netgain.errors import InputError, NetgainError, nearest, shown
from netgain.extensions import find_domain, relative_to, said_by, source_digest, where_raised
from netgain.isolation.user_method import find_arm_method
from netgain.records.claim import BEST_CONVENTIONAL, Role
from netgain.streams import stream
from netgain.strict_yaml import FieldPath, SourceLines, read_fields, read_yaml
from netgain.tokens import has_chat_template
from netgain.trials.resolved_arm import FindMethod, ResolvedArm, present, resolve_arm, tuned_alike, validated
from netgain.trials.spec import DomainSpec, ProblemCounts, TrialSpec

FindDomain = Callable[[str, Path], type[Domain]]
LEAKS = ("title", "passage", "question", "pair")  # what is shared word for word
UNRIVALLED = (Role.SELF_IMPROVING, Role.FROZEN, Role.ORACLE)
SHIPPED_FOLDER = Path(netgain.__file__).parent / "shipped" / "people"
SHIPPED = {
    "shipped": SHIPPED_FOLDER,
    "shipped-faithful": SHIPPED_FOLDER.with_name("people-faithful"),
    "shipped-grids": SHIPPED_FOLDER.with_name("grids"),
}
DEMOS = {"people": "demo.yaml", "grids": "grids.yaml"}  # by the domain
NO_FOLDER = "name a model's folder, a GGUF file or a hub's OWNER/NAME"
SERVED = (
    "edits and answers come from the server under serve, priced as if they were decoded here; its time is not in the "
    "estimate. Models with other weights (trained in full, merged) and edits held to a form are decoded here"
)
LEARNS_IN_CONTEXT = "the shown pairs stand in every question, so the frozen model learns in context"


@final
@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """A spec whose words all mean something. The domains' data is read when they are first asked for.

    ``notes`` say what was decided that nobody wrote. A trial that is sent to another process is resolved again there.
    """

    spec: TrialSpec
    lines: SourceLines
    find_method: FindMethod
    find_domain: FindDomain
    arms: Mapping[str, ResolvedArm]
    kinds: Mapping[str, tuple[type[Domain], DomainSettings]]
    notes: tuple[str, ...] = ()
    trust_remote_code: bool = False
    _read: dict[str, Domain] = field(default_factory=dict)
    _templates: dict[str, bool] = field(default_factory=dict)

    def __reduce__(self) -> tuple[Any, ...]:
        return resolve_spec, (self.spec, self.lines, self.find_method, self.find_domain, self.trust_remote_code)

    @property
    def conventional(self) -> tuple[str, ...]:
        """The arms among which the best conventional one is chosen."""
        return tuple(name for name, arm in self.arms.items() if arm.method.role not in UNRIVALLED)

    @property
    def trains(self) -> bool:
        """Whether training problems are used: an arm learns from them, or they are shown as demonstrations."""
        return self.spec.shots > 0 or any(arm.method.learns for arm in self.arms.values())

    @property
    def domains(self) -> Mapping[str, Domain]:
        """Every domain, its data read. Raises InputError where that cannot be."""
        for name in self.kinds.keys() - self._read.keys():
            self._read[name] = self._domain(name)
        return {name: self._read[name] for name in self.kinds}

    def _domain(self, name: str) -> Domain:
        kind, settings = self.kinds[name]
        located = settings.model_copy(update={key: self.lines.folder / path for key, path in paths_in(settings)})
        try:
            return kind(located)
        except InputError as error:
            raise self.lines.error(("domains", name), f"{error.where}: {error.problem}", error.remedy) from None
        except OSError as error:
            problem = f"{shown(error.filename)} cannot be read: {error.strerror}"
            raise self.lines.error(("domains", name), problem, "look into its path") from None

    def files(self, name: str) -> list[Path]:
        """Where the data of a domain lie, as far as its settings name them."""
        return [self.lines.folder / path for _, path in paths_in(self.kinds[name][1])]

    @property
    def chat(self) -> bool:
        """Whether the model is asked in conversations. Raises InputError where it has no template for them."""
        if self.spec.chat == "base":
            return False
        if self.model not in self._templates:
            self._templates[self.model] = has_chat_template(self.model)
        found = self._templates[self.model]
        if self.spec.chat == "template" and not found and not Path(self.model).exists():
            return True  # a hub's, which its loading will tell
        if self.spec.chat == "template" and not found:
            problem = f"chat = template: the tokenizer of {self.spec.model} has no chat template"
            raise self.lines.error(("chat",), problem, "write auto or base, or name an instruct model")
        return found

    def prompts(self, name: str) -> Prompts:
        """How this domain's problems are asked about in this trial: the same for all arms, seeds and tasks."""
        own = self.domains[name].prompts
        return own.used(chat=self.chat, shots=self._demonstrations(name), cut=self.spec.cut)

    def _demonstrations(self, name: str) -> tuple[tuple[Material, Question], ...]:
        """A question of each of the training problems with the shortest passages, of the kind that is compared."""
        spec = self.spec
        training = _problems(self.domains[name], "train", spec.problems.train if spec.shots else 0, spec.seed)
        rng = stream(spec.seed, "shots", name)
        titles: dict[str, int] = {}
        ranked = []  # of each title first the shortest, then the next: demonstrations of one subject would mislead
        for problem in sorted(training, key=lambda one: len(one.material.text)):
            turn = titles[problem.material.title] = titles.get(problem.material.title, 0) + 1
            ranked.append((turn, len(problem.material.text), problem))
        chosen = []
        for *_, problem in sorted(ranked, key=lambda one: one[:2])[: spec.shots]:
            asked = [one for one in problem.questions if one.kind == spec.compare.exam] or list(problem.questions)
            chosen.append((problem.material, asked[rng.integers(len(asked))]))
        return tuple(chosen[index] for index in rng.permutation(len(chosen)))

    @property
    def model(self) -> str:
        """The folder of the trial's model, or the name by which a hub knows it."""
        shipped = SHIPPED.get(self.spec.model)
        return self.located(self.spec.model) if shipped is None else str(shipped)

    def located(self, name: str) -> str:
        """The folder beside the trial's file, a GGUF file's own, or the name itself where there is none (a hub's)."""
        folder = self.lines.folder / Path(name).expanduser()
        if name.endswith(".gguf"):
            return str(door.folder_of_gguf(folder))
        try:
            return str(folder) if folder.exists() else name
        except OSError as error:  # a name that no folder can have
            raise InputError(shown(name), f"no folder can be looked for: {error.strerror}", NO_FOLDER) from None


def paths_in(settings: DomainSettings) -> list[tuple[str, Path]]:
    """The settings that are paths, by name."""
    return [(name, value) for name, value in settings if isinstance(value, Path)]


def resolve(
    source: Path | str | Mapping[str, Any] | None,
    methods: Sequence[str] = (),
    options: Sequence[str] = (),
    limit: int | None = None,
    *,
    find_method: FindMethod = find_arm_method,
    find_domain: FindDomain = find_domain,
    trust_remote_code: bool = False,
) -> Trial:
    """The trial in a YAML file or in plain fields (paths in these are relative to where we are); None is the demo.

    Each of ``methods`` (``file.py:Class``, relative to where we are) is an arm more, named after its class, before
    anything is checked: the trial may say ``compare: {arm: mine}``. ``options`` (``a.b=value``) stand in place of a
    file's fields; at most ``limit`` test problems are examined. ``trust_remote_code`` is the consent of whoever runs
    the trial to run code that its models bring; no field of a trial can give it. Raises InputError with the line of the
    first thing that is wrong; no data is read yet.
    """
    if isinstance(source, Mapping):
        lines = SourceLines("trial")
        spec = validated(_with_methods(dict(source), methods, lines.folder, find_method), TrialSpec, lines)
    else:
        path = demo_file() if source is None else Path(source)
        if not path.is_file():
            raise InputError(str(path), "there is no such file", "give the YAML file of a trial")
        add = partial(_with_methods, methods=methods, folder=path.parent, find_method=find_method)
        spec, lines = read_yaml(path, TrialSpec, options, add)
    spec = spec if limit is None else spec.limited(limit)
    return resolve_spec(spec, lines, find_method, find_domain, trust_remote_code)


def demo_file(domain: str = "people") -> Path:
    """The demo of a domain. Raises InputError where it has none."""
    if domain not in DEMOS:
        raise InputError(f"--domain {domain}", "has no demo", nearest(domain, DEMOS))
    return Path(str(files("netgain.trials") / DEMOS[domain]))


def _with_methods(
    fields: dict[str, Any], methods: Sequence[str], folder: Path, find_method: FindMethod
) -> dict[str, Any]:
    """The fields of a trial with an arm more for each of these files. Raises InputError where one holds no method, and
    where its arm is there already."""
    arms = fields.get("arms")
    if not methods or not isinstance(arms, dict):
        return fields
    added: dict[str, Any] = {}
    for method in methods:
        try:
            find_method(relative_to(method, folder), folder)
        except InputError as error:
            broken = error.problem.startswith("cannot be run")
            problem = f"{error.where} {error.problem}" if broken else error.problem
            raise InputError(f"--method {method}", problem, error.remedy) from None
        name = method.rpartition(":")[2].lower()
        if name in arms or name in added:
            problem = f"the trial has an arm {name!r} already"
            raise InputError(f"--method {method}", problem, "give the class another name")
        added[name] = {"method": relative_to(method, folder)}
    return fields | {"arms": {**arms, **added}}


def resolve_spec(
    spec: TrialSpec,
    lines: SourceLines,
    find_method: FindMethod,
    find_domain: FindDomain,
    trust_remote_code: bool = False,
) -> Trial:
    """Every word and setting of a spec checked. Raises InputError with the line of the first that means nothing."""
    spec, out = present(spec)
    found = {name: resolve_arm(name, arm, lines, find_method) for name, arm in spec.arms.items()}
    arms = tuned_alike(spec, found, lines)
    kinds = {name: _kind(name, domain, lines, find_domain) for name, domain in spec.domains.items()}
    trial = Trial(spec, lines, find_method, find_domain, arms, kinds, out, trust_remote_code)
    _check_names(spec, lines)
    _check_comparison(trial)
    _check_curve(trial)
    return trial


def all_problems(path: Path) -> list[InputError]:
    """Everything that is wrong with the trial in a file, its data included; later checks wait for earlier ones."""
    try:
        fields, lines = read_fields(path, TrialSpec)
    except InputError as error:
        return [error]
    try:
        spec, _ = present(TrialSpec.model_validate(fields))
    except ValidationError as error:
        return lines.all_invalid(error, TrialSpec)
    checks: list[Callable[[], object]] = [
        *(partial(resolve_arm, name, arm, lines, find_arm_method) for name, arm in spec.arms.items()),
        *(partial(_kind, name, domain, lines, find_domain) for name, domain in spec.domains.items()),
        partial(_check_names, spec, lines),
    ]
    problems = [problem for check in checks if (problem := _problem_of(check))]
    if problems:
        return problems
    problem = _problem_of(lambda: with_data(resolve_spec(spec, lines, find_arm_method, find_domain)))
    return [problem] if problem else []


def _problem_of(check: Callable[[], object]) -> InputError | None:
    try:
        check()
    except InputError as error:
        return error
    return None


def _kind(
    name: str, spec: DomainSpec, lines: SourceLines, find_domain: FindDomain
) -> tuple[type[Domain], DomainSettings]:
    at: FieldPath = ("domains", name)
    try:
        kind = find_domain(spec.kind, lines.folder)
    except InputError as error:
        raise lines.error((*at, "kind"), f"{error.where}: {error.problem}", error.remedy) from None
    return kind, validated(spec.settings, kind.Settings, lines, at)


def _check_names(spec: TrialSpec, lines: SourceLines) -> None:
    """What ``compare`` names is there. Raises InputError at its line."""
    arms, compare = list(spec.arms), spec.compare
    for key, name, valid in (("arm", compare.arm, arms), ("against", compare.against, [*arms, BEST_CONVENTIONAL])):
        if name not in valid:
            raise lines.error(
                ("compare", key), f"compare.{key} = {name!r}: is not the name of an arm", nearest(name, valid)
            )
    if compare.domain is not None and compare.domain not in spec.domains:
        problem = f"compare.domain = {compare.domain!r}: is not the name of a domain"
        raise lines.error(("compare", "domain"), problem, nearest(compare.domain, spec.domains))


def _check_curve(trial: Trial) -> None:
    """Whoever is on the curve learns, so that it has something to invest for another number of deployments."""
    curve = trial.spec.budget.curve
    if curve is None:
        return
    at: FieldPath = ("budget", "curve")
    learners = [name for name, arm in trial.arms.items() if arm.method.learns]
    for name in curve.arms:
        if name not in learners:
            problem = f"budget.curve.arms: {name!r} is not the name of an arm that learns"
            raise trial.lines.error((*at, "arms"), problem, nearest(name, learners))
    own = trial.spec.budget.deployments or trial.spec.problems.test
    if own in curve.deployments:
        problem = f"budget.curve.deployments: {own} is the trial's own number"
        raise trial.lines.error((*at, "deployments"), problem, "leave it out; it is run in any case")
    if (curve.seeds or 0) > trial.spec.seeds:
        problem = f"budget.curve.seeds = {curve.seeds}: the trial has {trial.spec.seeds}"
        raise trial.lines.error((*at, "seeds"), problem, "ask for no more")


def _check_comparison(trial: Trial) -> None:
    spec, lines = trial.spec, trial.lines
    if spec.compare.against == BEST_CONVENTIONAL:
        if not trial.conventional:
            problem = "no arm is conventional (neither frozen, self-improving nor an upper bound)"
            raise lines.error(("compare", "against"), problem, "name an arm, or add one")
        if spec.problems.development == 0:
            problem = "the best conventional arm is chosen on development problems, and there are none"
            raise lines.error(("problems", "development"), problem, "ask for some, or name the arm to compare with")
    if spec.tuning.trials and spec.problems.development == 0 and any(arm.knobs for arm in trial.arms.values()):
        problem = "settings are tried on development problems, and there are none"
        raise lines.error(("problems", "development"), problem, "ask for some, or set tuning.trials to 0")
    if spec.problems.train == 0 and any(arm.method.learns for arm in trial.arms.values()):
        raise lines.error(("problems", "train"), "an arm learns, and there are no training problems", "ask for some")


# -- the domains' data


def with_data(trial: Trial) -> Trial:
    """The trial with its domains read and everything checked that a task could stumble over, before anything is spent.

    Numbers of problems that nobody stated are those that every domain has. Raises InputError for stated ones that
    cannot be had, where no question is of the kind that is compared, and where splits share a title, passage or
    question.
    """
    try:
        _ = trial.chat
        fitted = _fitted(trial)
        for name, domain in fitted.domains.items():
            _check_domain(fitted, name, domain)
        told = [f"{name}: {note}" for name, domain in fitted.domains.items() for note in domain.notes]
        told += [f"{name}: {LEARNS_IN_CONTEXT}" for name, domain in fitted.domains.items() if domain.few_shot]
        told += [] if fitted.spec.serve is None else [SERVED]
        told += fitted.spec.exam.check(fitted.lines, fitted.spec.budget.ladder)
    except NetgainError:
        raise
    except Exception as error:
        own = [kind for kind, _ in trial.kinds.values() if source_digest(kind)]
        if not own:
            raise
        raise InputError(where_raised(error, *own), said_by(error), "mend the domain's file") from error
    return replace(fitted, notes=(*fitted.notes, *told)) if told else fitted


def _fitted(trial: Trial) -> Trial:
    counts: dict[str, int] = trial.spec.problems.model_dump()
    splits: tuple[Split, ...] = ("train", "development", "test") if trial.trains else ("development", "test")
    fitted = {split: _available(trial, split, counts[split]) for split in splits}
    changed = {split: count for split, count in fitted.items() if count != counts[split]}
    if trial.spec.limited_from is not None:
        whole = _available(trial, "test", trial.spec.limited_from)
        cut = whole if whole > fitted["test"] else None
        trial = replace(trial, spec=trial.spec.model_copy(update={"limited_from": cut}))
    if not changed:
        return trial
    told = ", ".join(f"{count} {split} (not {counts[split]})" for split, count in changed.items())
    note = f"problems: {told}: all that there are; no numbers were stated"
    problems = ProblemCounts.model_validate(counts | changed)
    spec = trial.spec.model_copy(update={"problems": problems})
    return replace(trial, spec=spec, notes=(*trial.notes, note))


def _available(trial: Trial, split: Split, wanted: int) -> int:
    """How many problems of a split every domain has, up to ``wanted``."""
    limited = split == "test" and trial.spec.limited_from is not None
    stated = split in trial.spec.problems.model_fields_set and not limited
    for name, domain in trial.domains.items():
        count = _count(domain, split, wanted, trial.spec.seed)
        if count == 0 and wanted:
            remedy = f"add some, or mark some as {split} (docs/trials.md says how problems are shared out)"
            raise trial.lines.error(("domains", name), f"{name} has no {split} problems", remedy)
        if stated and count < wanted:
            problem = f"problems.{split} = {wanted}: {name} has {count} {split} problems"
            remedy = f"write {split}: {count} or less, or leave it out to take all that there are"
            raise trial.lines.error(("problems", split), problem, remedy)
        wanted = min(wanted, count)
    return wanted


def _count(domain: Domain, split: Split, most: int, seed: int) -> int:
    """How many problems of a split a domain has, up to ``most``: it is asked for more or fewer until it says yes."""
    low, high = 0, most + 1  # it has at least ``low``, and fewer than ``high``
    middle = most
    while high - low > 1:
        try:
            domain.problems(split, middle, seed)
            low = middle
        except InputError:
            high = middle
        middle = (low + high) // 2
    return low


def _check_domain(trial: Trial, name: str, domain: Domain) -> None:
    spec, lines = trial.spec, trial.lines
    test = domain.problems("test", spec.problems.test, spec.seed)
    development = _problems(domain, "development", spec.problems.development, spec.seed)
    train = _problems(domain, "train", spec.problems.train if trial.trains else 0, spec.seed)
    domain.check((*test, *development, *train), name)
    if len(train) < spec.shots:
        problem = f"shots = {spec.shots}: {name} has {len(train)} training problems to take them from"
        raise lines.error(("shots",), problem, "ask for fewer, or for more under problems.train")
    if domain.few_shot is not None and spec.judge is not None:
        problem = f"judge: {name} is a domain of examples, whose outputs are right or wrong by comparison"
        raise lines.error(("judge",), problem, "leave judge out")
    if domain.few_shot is not None and spec.shots:
        problem = f"shots = {spec.shots}: {name} is a domain of examples, which every question shows by itself"
        raise lines.error(("shots",), problem, "leave shots out")
    kinds = {question.kind for problem in test for question in problem.questions}
    if spec.compare.domain in (None, name) and spec.compare.exam not in kinds:
        problem = f"compare.exam = {spec.compare.exam!r}: no question of {name} is of this kind"
        raise lines.error(("compare", "exam"), problem, nearest(spec.compare.exam, sorted(kinds)))
    shared = [leak for leak in leaks(train, development, test, (), domain.few_shot) if leak.kind in LEAKS]
    if shared:
        first, more = shared[0], f" ({len(shared)} in all)" if len(shared) > 1 else ""
        problem = f"the exam leaks: {first.first} and {first.second} share a {first.kind}, {first.detail[:80]!r}{more}"
        raise lines.error(("domains", name), problem, "keep what is asked in one split")


def _problems(domain: Domain, split: Split, count: int, seed: int) -> tuple[Problem, ...]:
    return domain.problems(split, count, seed) if count else ()
