"""One problem as every arm sees it, before anything is spent: each distinct way of asking, in full, and what the model
as it is says to it. What runs here is charged to a book that is thrown away: it is part of no record.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final

from netgain.domains.domain import Domain
from netgain.domains.edits import begun, sequences
from netgain.domains.few_shot import FewShot
from netgain.domains.problem import EditFormat, Problem, Prompt, Prompts, Question, Split
from netgain.errors import InputError, nearest
from netgain.exam.exam import Answerer, sit
from netgain.metering.account import Book
from netgain.methods.entity_pairs import EntityPairs
from netgain.methods.synthetic import MIXED, SyntheticSettings
from netgain.model.metered import Model
from netgain.model.program import run
from netgain.model.requests import Generate
from netgain.records.claim import Role
from netgain.records.cost import Purpose
from netgain.trials.resolve import Trial, with_data
from netgain.trials.resolved_arm import ResolvedArm

CLOSED, OPEN, SHOWN = "closed book", "with the passage", "with the shown pairs"


@final
@dataclass(frozen=True, slots=True)
class AskedWay:
    """One way of asking, by ``name``, and the ``arms`` that ask so: the prompts of a problem's ``questions``, or that
    of an edit in a ``form``. Of a problem of examples ``inputs`` are the questions' own, and ``views`` counts by
    category the forms in which each is put."""

    name: str
    arms: tuple[str, ...]
    prompts: tuple[Prompt, ...]
    questions: tuple[Question, ...] = ()
    form: EditFormat | None = None
    inputs: tuple[str, ...] = ()
    views: Mapping[str, int] = field(default_factory=dict)


@final
@dataclass(frozen=True, slots=True)
class Said:
    """What the model made of a prompt: the answer as it is graded, or an edit and its training texts. Where several
    attempts are graded, ``attempts`` are those, the best first.

    ``tokens`` are those of the prompt and of what was said; ``finish`` says why that ended.
    """

    shown: str
    text: str
    tokens: tuple[int, int]
    finish: str
    grade: dict[str, Any]
    texts: tuple[str, ...] = ()
    attempts: tuple[str, ...] = ()


@final
class Preview:
    """A trial's problem: the ``number``-th (from 1) of a split of one of its domains, the first unless named.

    Raises InputError where there is none, and for whatever is wrong with the trial.
    """

    def __init__(self, trial: Trial, number: int, split: Split = "development", name: str | None = None) -> None:
        trial = with_data(trial)
        self.trial, self.name = trial, name or next(iter(trial.kinds))
        if self.name not in trial.kinds:
            raise InputError(f"--domain {self.name}", "is no domain of this trial", nearest(self.name, trial.kinds))
        self.domain: Domain = trial.domains[self.name]
        self.prompts: Prompts = trial.prompts(self.name)
        try:
            self.problem: Problem = self.domain.problems(split, number, trial.spec.seed)[number - 1]
        except (InputError, IndexError):
            problem = f"{self.name} has no {split} problem of this number"
            raise InputError(
                f"--problem {number}", problem, "ask for an earlier one, or name another --split"
            ) from None
        self.ways = self._ways()

    def _ways(self) -> tuple[AskedWay, ...]:
        arms, prompts = self.trial.arms, self.prompts
        material, questions = self.problem.material, self.problem.questions
        reading = tuple(name for name, arm in arms.items() if arm.method.role is Role.IN_CONTEXT)
        recalling = tuple(name for name in arms if name not in reading)
        if self.domain.few_shot is not None:
            return tuple(way for way in (self._examples(self.domain.few_shot), *self._edits()) if way.arms)
        ways = [AskedWay(CLOSED, recalling, tuple(prompts.ask(one.text) for one in questions), questions)]
        ways.append(AskedWay(OPEN, reading, tuple(prompts.ask(one.text, [material]) for one in questions), questions))
        return tuple(way for way in (*ways, *self._edits()) if way.arms)

    def _edits(self) -> Iterator[AskedWay]:
        prompts, material = self.prompts, self.problem.material
        for name, form in prompts.formats.items():
            writing = tuple(arm.name for arm in self.trial.arms.values() if name in formats_of(arm, prompts))
            yield AskedWay(f"an edit, {name}", writing, (form.prompt(material),), form=form)

    def _examples(self, few_shot: FewShot) -> AskedWay:
        """Every arm asks so: the pairs stand in the question."""
        parts = tuple(part for question in self.problem.questions for part in question.asked)
        shown = [few_shot.shown(part.text) for part in parts]
        return AskedWay(
            SHOWN,
            tuple(self.trial.arms),
            tuple(self.prompts.ask(part.text) for part in parts),
            parts,
            inputs=tuple(pairs[-1][0] if pairs else "" for pairs in shown),
            views=Counter(view.category for view in few_shot.views(parts[0])),
        )

    def answered(self, model: Model, way: AskedWay) -> list[Said]:
        """What this model says to the prompts of a way: answers greedily, an edit drawn as arms draw theirs. Examples
        are answered as the exam has them answered, in all their views."""
        prompts, form = self.prompts, way.form
        if way.views:
            return self._examined(model, way)
        with TemporaryDirectory() as folder, Book.open(Path(folder) / "journal") as book:
            account = book.account("a preview, in no record", purpose=Purpose.EVALUATE)
            requests = [
                Generate(
                    account=account,
                    prompt=prompt,
                    max_new_tokens=prompts.max_new_tokens if form is None else form.max_new_tokens,
                    stop=prompts.stop if form is None else form.stop,
                    temperature=0.0 if form is None else 1.0,
                    top_p=1.0 if form is None else 0.95,
                    seed=self.trial.spec.seed,
                )
                for prompt in way.prompts
            ]
            results = model.generate(requests)
        said = []
        for number, (prompt, result) in enumerate(zip(way.prompts, results, strict=True)):
            sizes = (len(model.tokenize(prompt)), 0 if result.product is None else result.product.tokens)
            finish = str(result.failure) if result.value is None else result.value.finish
            text = "" if result.value is None else result.value.text  # as an exam has it
            if form is None:
                answer = prompts.answer(text)
                grade = asdict(self.domain.grade(way.questions[number], answer))
                said.append(Said(model.shown(prompt), answer, sizes, finish, grade))
            else:
                texts = sequences(self.problem.material, text, form, prompts)
                said.append(Said(model.shown(prompt), begun(text, form), sizes, finish, {}, texts))
        return said

    def _examined(self, model: Model, way: AskedWay) -> list[Said]:
        with TemporaryDirectory() as folder, Book.open(Path(folder) / "journal") as book:
            account = book.account("a preview, in no record", purpose=Purpose.EVALUATE)
            exam = sit(
                Answerer(model=model), way.questions, self.prompts, account, self.domain.grade, (), self.domain.few_shot
            )
            ((_, ended),) = run({"": exam})
            written = sum(int(charge.cost.tokens_generated or 0) for charge in book.charges())
        if ended.value is None:
            raise ended.error or RuntimeError("the exam ended without answers")
        return [
            Said(
                model.shown(prompt),
                mark.answer,
                (len(model.tokenize(prompt)), written // len(way.prompts)),
                "all views",
                asdict(mark.grade),
                attempts=mark.attempts[0],
            )
            for prompt, mark in zip(way.prompts, ended.value, strict=True)
        ]


def formats_of(arm: ResolvedArm, prompts: Prompts) -> tuple[str, ...]:
    """The domain's edit formats that an arm writes in, those included that its tuning tries."""
    settings, formats = arm.settings, tuple(prompts.formats)
    named: list[str] = []
    if isinstance(settings, SyntheticSettings) and arm.method is not EntityPairs:
        tried: Sequence[Any] = arm.knobs.get("format", ())
        for name in (settings.format, *tried):
            named += (settings.mix or formats) if name == MIXED else [name or next(iter(formats), "")]
    asking = settings.model_dump().get("asking")
    return tuple(dict.fromkeys([*named, *([asking] if isinstance(asking, str) else [])]))
