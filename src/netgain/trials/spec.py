"""TrialSpec: one question, asked fairly. A YAML file says what is compared on what, for how much, and fixes the
primary comparison before anything runs.

Settings of domains and methods stand beside ``kind`` and ``method``; they are checked when the trial is resolved.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, Self, final

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

import netgain
from netgain.errors import InputError
from netgain.exam.drift import paragraphs
from netgain.exam.harness import Harness
from netgain.records.claim import BEST_CONVENTIONAL, GradeName
from netgain.records.cost import Currency
from netgain.records.identity import identity
from netgain.records.measurements import Coverage
from netgain.strict_yaml import SourceLines

Identifier = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
Positive = Annotated[float, Field(gt=0, le=1e36, allow_inf_nan=False)]
MOST_VALUES, MOST_TASKS = 1000, 20_000  # to try of one knob; of a trial, an arm under a seed each
MATCHED = 1.0  # the budget level at which arms are compared
PROSE = Path(netgain.__file__).parent / "shipped" / "prose.txt"
KNOWN_AFTERWARDS = (Currency.SECONDS, Currency.JOULES, Currency.DOLLARS)


# What lets files of other people run code, and where it is said instead.
CONSENTS = {
    "trust_remote_code": "a model's own code is run only where the command line says so, with --trust-remote-code",
    "allow_pickle": "pickled weights can run code and are read in no trial; convert them to safetensors",
}


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


@final
class DomainSpec(BaseModel):
    """A domain by its ``kind``; all other fields are settings of that kind."""

    model_config = ConfigDict(frozen=True, extra="allow")
    kind: str

    @property
    def settings(self) -> dict[str, Any]:
        """What stands beside ``kind``."""
        return dict(self.model_extra or {})


@final
class ArmSpec(BaseModel):
    """A method by name, perhaps with a preset; all other fields are settings of that method.

    ``label`` is how pages call the arm. ``tune`` replaces the method's own search: for each setting the values to try,
    here and in every other arm that has this setting. An arm may keep some of them ``fixed``, which its verdict tells.
    One that ``needs`` an extra of netgain is left out, with a line that says so, where that is not installed.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    method: str
    preset: str | None = None
    label: str | None = None
    tune: dict[str, Annotated[list[Any], Field(max_length=MOST_VALUES)]] | None = None
    fixed: tuple[str, ...] = ()
    needs: Literal["optuna"] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """What stands beside the fields above."""
        return dict(self.model_extra or {})


@final
class ProblemCounts(_Spec):
    """How many problems of each split; ``passages`` are adapted to at once (1: each passage for itself).

    A number that is not stated is at most its default here: a domain that has fewer gives all that it has. One that is
    stated and cannot be had is an error.
    """

    train: Annotated[int, Field(ge=0, le=100_000)] = 48
    development: Annotated[int, Field(ge=0, le=100_000)] = 12
    test: Annotated[int, Field(ge=1, le=100_000)] = 48
    passages: Annotated[int, Field(ge=1, le=100_000)] = 1


@final
class CurveSpec(_Spec):
    """Further numbers of ``deployments`` at which ``arms`` that learn invest anew, under the first ``seeds`` seeds
    (None: under all). What the investment may be grows with the number; what is spent on one problem stays the same."""

    deployments: Annotated[tuple[Annotated[int, Field(ge=1, le=10**12)], ...], Field(min_length=1)]
    arms: Annotated[tuple[Identifier, ...], Field(min_length=1)]
    seeds: Annotated[int, Field(ge=1, le=1000)] | None = None

    @field_validator("deployments")
    @classmethod
    def _rise(cls, deployments: tuple[int, ...]) -> tuple[int, ...]:
        if sorted(set(deployments)) != list(deployments):
            raise ValueError(f"deployments {list(deployments)}: the numbers must rise, each once")
        return deployments


@final
class BudgetSpec(_Spec):
    """What an arm may spend on each problem *in all*: ``per_problem`` in ``currency``, times each level of the
    ``ladder``; arms are compared at level 1.

    An arm that learns divides the total by its setting ``split``: at level b it invests ``split`` x b x ``per_problem``
    x ``deployments`` once, and adapts with the rest, (1 - ``split``) x b x ``per_problem`` a problem.

    ``deployments`` says how many problems share an investment: those that are examined, unless stated. The ``curve``
    has further numbers, at each of which learning is done anew.
    """

    currency: Currency = Currency.FLOPS
    per_problem: Positive
    ladder: tuple[Positive, ...] = (0.5, 1.0, 2.0)
    deployments: Annotated[int, Field(ge=1, le=10**12)] | None = None
    curve: CurveSpec | None = None

    @model_validator(mode="before")
    @classmethod
    def _levels_are_totals(cls, fields: Any) -> Any:
        if isinstance(fields, dict) and "learn" in fields:
            raise ValueError(
                "learn is no field any more: every level is a total, which each arm that learns divides by its own "
                "setting split; leave it out"
            )
        return fields

    @field_validator("currency")
    @classmethod
    def _is_known_beforehand(cls, currency: Currency) -> Currency:
        if currency in KNOWN_AFTERWARDS:
            raise ValueError(f"no work can be refused for its {currency}, which are known only afterwards; use flops")
        return currency

    @model_validator(mode="after")
    def _levels_are_there(self) -> Self:
        if sorted(set(self.ladder)) != list(self.ladder):
            raise ValueError(f"ladder {list(self.ladder)}: levels must rise, each once")
        if MATCHED not in self.ladder:
            raise ValueError(f"ladder {list(self.ladder)}: level 1 is missing; arms are compared there")
        return self


@final
class TuningSpec(_Spec):
    """How many settings every arm tries on development problems (0: none); charged under ``tune``.

    ``knobs`` are the settings to vary, each with the values to try: every arm that has a setting of this name varies
    it. So do all with a knob of one arm's own ``tune``: nobody tunes what a rival may not. Where the best value lies at
    an end of what was tried, up to ``widen`` further values beyond that end are tried, in addition to ``trials``.
    """

    trials: Annotated[int, Field(ge=0, le=1000)] = 3
    widen: Annotated[int, Field(ge=0, le=100)] = 2
    knobs: dict[str, Annotated[list[Any], Field(min_length=1, max_length=MOST_VALUES)]] = {}


@final
class HarnessSpec(_Spec):
    """Tasks of lm-eval, its own or those in ``include_path`` (a folder of its YAML files), on ``limit`` documents each
    (None: all) with ``num_fewshot`` examples (None: as many as a task says), after the first ``problems`` adaptations.
    """

    tasks: Annotated[tuple[str, ...], Field(min_length=1)]
    include_path: Path | None = None
    limit: Annotated[int, Field(ge=1)] | None = None
    num_fewshot: Annotated[int, Field(ge=0)] | None = None
    problems: Annotated[int, Field(ge=1, le=100_000)] = 1

    def harness(self, folder: Path) -> Harness:
        """The tasks, paths relative to the folder. Raises MissingExtraError without lm-eval, InputError for a task
        that it does not know."""
        tasks = self.include_path and folder / self.include_path.expanduser()
        return Harness(self.tasks, tasks, self.limit, self.num_fewshot)


@final
class ExamSpec(_Spec):
    """What is examined beside the problems' own questions.

    ``controls`` questions of each kind of control are asked after each adaptation at the levels ``at``; ``drift``
    prompts measure the divergence from the base there. ``text`` is a file of unrelated text (``prose``: the one that
    ships) whose likelihood is measured there, in paragraphs with empty lines between them; ``lm_eval`` names tasks of
    lm-eval. ``stream`` problems are adapted to one after another (0: none). ``coverage`` draws several answers to the
    problems' own questions at the levels ``at`` (pass@k).
    """

    controls: Annotated[int, Field(ge=0, le=10_000)] = 8
    drift: Annotated[int, Field(ge=0, le=1000)] = 4
    at: tuple[Positive, ...] = (1.0,)
    text: Path | None = None
    lm_eval: HarnessSpec | None = None
    stream: Annotated[int, Field(ge=0, le=1000)] = 0
    coverage: Coverage | None = None

    def files(self, folder: Path) -> dict[str, Path]:
        """What it reads, by the name of the field, relative to the folder: the text, and tasks of one's own."""
        tasks = self.lm_eval.include_path if self.lm_eval else None
        named = {"text": PROSE if self.text == Path("prose") else self.text, "lm_eval": tasks}
        return {name: folder / path.expanduser() for name, path in named.items() if path is not None}

    def check(self, lines: SourceLines, ladder: Sequence[float]) -> tuple[str, ...]:
        """Require that the levels are on the trial's ladder, and that the text and the tasks are there; what a plan
        should say of them. Raises InputError at their line, MissingExtraError without lm-eval."""
        if missing := [f"{level:g}" for level in self.at if level not in ladder]:
            levels = ", ".join(f"{level:g}" for level in ladder)
            problem = f"level {missing[0]} is not on the ladder [{levels}]: nothing is run there, and nothing asked"
            raise lines.error(("exam", "at"), problem, "name levels of budget.ladder")
        field = "text"
        try:
            if "text" in self.files(lines.folder):
                paragraphs(self.files(lines.folder)["text"])
            field = "lm_eval"
            if self.lm_eval is not None:
                self.lm_eval.harness(lines.folder)
        except InputError as error:
            raise lines.error(("exam", field), f"{error.where}: {error.problem}", error.remedy) from None
        asked = self.lm_eval
        tasks = asked and f"{', '.join(asked.tasks)} after {asked.problems} adaptations of each arm, level and seed"
        return () if tasks is None else (f"lm-eval's tasks are not in the estimate: {tasks}",)


@final
class IsolationSpec(_Spec):
    """What a method of one's own may do in its own process (docs/security.md).

    It may take ``step_seconds`` from one step to the next, or ten times the seconds that its budget takes, where that
    is more. Work of its own, beside the model's, is exposed above ``own_seconds`` of processors for each adaptation
    plus ``own_share`` of the seconds that its budget takes.
    """

    step_seconds: Annotated[float, Field(gt=0, le=10**7, allow_inf_nan=False)] = 60.0
    own_seconds: Annotated[float, Field(ge=0, le=10**7, allow_inf_nan=False)] = 0.2
    own_share: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] = 0.25


@final
class ServeSpec(_Spec):
    """A server that generates the model's edits and answers (docs/engine.md): its ``url``, and a folder for
    ``adapters`` that it sees under the same path. ``model`` is its name for the model, where it has several.

    At most ``loaded`` adapters are loaded into it at a time, and ``concurrency`` requests under way. An attempt ends
    after ``timeout`` seconds without a byte; there are ``attempts``, ``backoff`` seconds apart, doubling. A key comes
    from the environment variable ``api_key_env``.
    """

    url: str
    adapters: Path
    model: str | None = None
    api_key_env: str | None = None
    timeout: Annotated[float, Field(gt=0, le=10**5, allow_inf_nan=False)] = 600.0
    attempts: Annotated[int, Field(ge=1, le=100)] = 5
    backoff: Annotated[float, Field(ge=0, le=600, allow_inf_nan=False)] = 1.0
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 32
    loaded: Annotated[int, Field(ge=1, le=1000)] = 8

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        if not re.fullmatch(r"https?://[^/@\s]+(/[^@\s]*)?", url):  # it may hold a password: it is not shown
            raise ValueError("the url is no http(s) address without a name and password in it: http://HOST:PORT/v1")
        return url


@final
class ComparisonSpec(_Spec):
    """The primary comparison, fixed before the run: ``arm`` against another, on one kind of question of one domain."""

    arm: Identifier
    against: str = BEST_CONVENTIONAL
    exam: str = "knowledge"
    domain: Identifier | None = None


def primary_hash(trial: Mapping[str, Any]) -> str:
    """The identity of the comparison that decides, with its budget; of a trial's fields as plain values."""
    return identity("comparison", {name: trial[name] for name in ("compare", "budget")})


@final
class TrialSpec(_Spec):
    """One trial. ``model`` is ``shipped``, ``shipped-faithful``, ``shipped-grids``, a folder, a GGUF file or a hub
    name; ``dtype`` is how its weights are held. Where it is served as well, ``serve`` says where.

    ``teacher`` is ``oracle`` (the domain's own perfect writer), ``{model: folder or hub name}``,
    ``{url: ..., model: ..., api_key_env: ...}``, or none. ``judge`` is such a mapping, or none: a model that is asked
    whether each of the exams' answers is right, outside the matched budget.

    ``grade`` says what an answer counts, in every exam of the trial (test, tuning, stream) and where a method scores
    itself: ``exact`` match (or a domain's own rule), ``contains``, ``f1``, or the ``judge``'s verdict, with exact match
    where it cannot be read. All others are computed, recorded and shown beside it. What a method scores itself on in
    its learn stage is exact match where a judge decides: a judge among the rewards would be the method's own expense,
    and is not asked there.

    ``chat`` says how the model is asked, for answers and for edits: an instruct model through the ``template`` of its
    tokenizer, a ``base`` model by a text that it continues; ``auto`` goes by whether there is a template. ``shots`` are
    demonstrations before each question, training problems' questions with their gold answers, and one before each edit.
    ``cut`` says what of a generation is the answer: its first ``line`` that has text, the first ``sentence`` of that,
    the ``whole``, or all before the first of some stop strings; None: as the domain has it (``line``).

    ``limited_from`` is written by ``--limit``: how many test problems the trial would have without it. A limited run
    tries out whether a trial works; its verdict says so.
    """

    name: Identifier
    question: str = ""
    model: str = "shipped"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    attention: Literal["auto", "sdpa", "eager"] = "auto"  # auto: sdpa where the architecture has it
    serve: ServeSpec | None = None
    teacher: str | dict[str, Any] | None = None
    judge: dict[str, Any] | None = None
    grade: GradeName = "exact"
    chat: Literal["auto", "template", "base"] = "auto"
    shots: Annotated[int, Field(ge=0, le=100)] = 0
    cut: Literal["line", "sentence", "whole"] | tuple[Annotated[str, Field(min_length=1)], ...] | None = None
    domains: Annotated[dict[Identifier, DomainSpec], Field(min_length=1, max_length=100)]
    problems: ProblemCounts = ProblemCounts()
    seeds: Annotated[int, Field(ge=1, le=1000)] = 3
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    budget: BudgetSpec
    tuning: TuningSpec = TuningSpec()
    arms: Annotated[dict[Identifier, ArmSpec], Field(min_length=1, max_length=200)]
    compare: ComparisonSpec
    exam: ExamSpec = ExamSpec()
    isolation: IsolationSpec = IsolationSpec()
    limited_from: Annotated[int, Field(ge=1)] | None = None

    @property
    def limited_to(self) -> int | None:
        """How many test problems a limited trial has; None for a whole one."""
        return None if self.limited_from is None else self.problems.test

    def limited(self, most: int) -> Self:
        """The same trial on at most so many test problems."""
        if most >= self.problems.test:
            return self
        problems = self.problems.model_copy(update={"test": most})
        whole = self.limited_from or self.problems.test
        return self.model_copy(update={"problems": problems, "limited_from": whole})

    @model_validator(mode="before")
    @classmethod
    def _consent_is_no_field(cls, fields: Any) -> Any:
        """A file that is passed on must not run code on the machine of whoever tries it."""
        others = {name: fields.get(name) for name in ("teacher", "judge")} if isinstance(fields, dict) else {}
        for name, inner in {"the trial": fields, **others}.items():
            for word in CONSENTS if isinstance(inner, dict) else ():
                if word in inner:
                    raise ValueError(f"{name} sets {word}: {CONSENTS[word]}")
        return fields

    @field_validator("judge")
    @classmethod
    def _judge_is_named(cls, judge: dict[str, Any] | None) -> dict[str, Any] | None:
        if judge is not None and not isinstance(judge.get("model"), str):
            raise ValueError("names no model; write {model: FOLDER} or {url: ..., model: NAME, api_key_env: VARIABLE}")
        return judge

    @model_validator(mode="after")
    def _somebody_judges(self) -> Self:
        if self.grade == "judge" and self.judge is None:
            raise ValueError("grade = 'judge': this trial has no judge; name a model under judge")
        return self

    @model_validator(mode="after")
    def _require_folders(self) -> Self:
        """Every arm has a folder of its own in every domain, named by both."""
        curve = self.budget.curve
        asked = len(self.domains) * len(self.arms) * self.seeds * (1 + len(curve.deployments if curve else ()))
        if asked > MOST_TASKS:  # counted before any is made
            raise ValueError(f"the trial would be {asked} runs of an arm under a seed; at most {MOST_TASKS} are made")
        folders: dict[str, tuple[str, str]] = {}
        for pair in product(self.domains, self.arms):
            other = folders.setdefault("-".join(pair), pair)
            if other != pair:
                raise ValueError(f"domains and arms {other} and {pair} would share a folder; rename one of them")
        return self
