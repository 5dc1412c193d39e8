"""A tiny domain and tiny methods, for trials on the scripted model: one call costs one FLOP."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, ClassVar

from netgain.domains.domain import Domain, DomainSettings
from netgain.domains.problem import EditFormat, Grade, Material, Problem, Prompts, Question, Split
from netgain.engine.jobs import InnerLoopJob
from netgain.errors import InputError
from netgain.exam.exam import Answerer, accuracy, sit
from netgain.methods.method import Desk, Learned, Learning, Method, Settings
from netgain.model.metered import Model
from netgain.model.program import Steps, ask
from netgain.model.requests import Generate, Train
from netgain.model.scripted import ScriptedAdapter, scripted_model
from netgain.records.claim import Role
from netgain.records.cost import Purpose
from netgain.strict_yaml import SourceLines
from netgain.trials.resolve import Trial, resolve_spec
from netgain.trials.schedule import TrialResult, run_trial
from netgain.trials.spec import TrialSpec

PROMPTS = Prompts(
    closed="Q: {question}",
    open_book="{text}\nQ: {question}",
    answered="Q: {question} A: {answer}",
    formats={"list": EditFormat("list", "List what follows from: {text}", 32)},
    max_new_tokens=8,
)


class TownSettings(DomainSettings):
    rivers: int = 1


class Towns(Domain):
    """Every town lies by a river; the question asks which. The model knows it once it was trained on the passage."""

    Settings = TownSettings
    prompts = PROMPTS

    def problems(self, split: Split, count: int, seed: int) -> tuple[Problem, ...]:
        return tuple(self._problem(f"{split}{seed}n{number}") for number in range(count))

    def _problem(self, name: str) -> Problem:
        text = f"The town of {name} lies by the river r{name}."
        question = Question(f"By which river does the town of {name} lie?", (f"r{name}",))
        further = Question(f"Whose water does the town of {name} drink?", (f"r{name}",), "reasoning")
        return Problem(Material(name, f"Town {name}", text), (question, further))

    def controls(self, count: int, seed: int) -> tuple[Question, ...]:
        return tuple(Question(f"What is {number} and one?", (f"{number + 1}",), "skill") for number in range(count))

    def grade(self, question: Question, answer: str) -> Grade:
        right = answer == question.answers[0]
        return Grade(right, float(right))

    def oracle(self, material: Material, seed: int) -> str | None:
        return f"It is certain: {material.text}"


def answer(request: Generate) -> str:
    """Right where the adapter was trained on the town's passage, or the passage stands before the question."""
    prompt = str(request.prompt)
    if prompt.startswith("List"):
        return f"fact {request.seed % 97}: " + prompt.removeprefix("List what follows from: ")
    town = prompt.rpartition("town of ")[2].partition(" ")[0]
    seen = prompt.rpartition("Q:")[0]
    if isinstance(request.adapter, ScriptedAdapter):
        seen += " ".join(bytes(one).decode() for one in request.adapter.sequences)
    if "What is" in prompt:
        return str(int(prompt.rpartition("is ")[2].partition(" ")[0]) + 1)
    return f"r{town}" if f"river r{town}." in seen else "unknown"


def model() -> Model:
    return scripted_model(answer, name="scripted")


def load(trial: Trial, device: str) -> Model:
    return model()


class StepSettings(Settings):
    steps: int = 1
    fails: bool = False
    search: ClassVar[dict[str, tuple[Any, ...]]] = {"steps": (1, 2, 3, 4)}


class EditSettings(StepSettings, Learning):
    pass


class Frozen(Method):
    role = Role.FROZEN

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        yield from ()
        return Answerer(model=desk.model)


def training(desk: Desk, texts: Sequence[str], purpose: Purpose = Purpose.ADAPT) -> Train:
    job = InnerLoopJob(
        key="/".join(desk.names),
        sequences=[desk.model.tokenize(text) for text in texts],
        epochs=1,
        learning_rate=1e-3,
        seed=desk.draw("job"),
    )
    return Train(account=desk.pay(purpose), job=job)


class Passage(Method):
    """Trains on the passage until the budget is used: one FLOP a training."""

    role = Role.PASSAGE
    Settings = StepSettings

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        assert isinstance(self.settings, StepSettings)
        if self.settings.fails and materials[0].id.endswith("1"):
            raise ValueError("this passage cannot be read")
        adapter = None
        while desk.left() >= 1:
            (result,) = yield from ask(desk.model, [training(desk, [m.text for m in materials])])
            adapter = result.get().adapter
        return Answerer(model=desk.model, adapter=adapter)


class Edits(Method):
    """Invests in trying edits on training problems; then writes edits and trains on them and the passage."""

    role = Role.SELF_IMPROVING
    learns = True
    Settings = EditSettings

    def learn(self, desk: Desk, problems: Sequence[Problem]) -> Steps[Learned]:
        for number, problem in enumerate(cycle(problems)):
            if desk.left() < 4:
                break
            texts = yield from self._write(desk.at(f"{number}"), problem.material, 1)
            (result,) = yield from ask(desk.model, [training(desk, texts, Purpose.LEARN)])
            answerer = Answerer(model=desk.model, adapter=result.get().adapter)
            marked = yield from sit(answerer, problem.questions, desk.prompts, desk.pay(Purpose.SCORE), desk.grade)
            desk.note("seen", {"accuracy": accuracy(marked)})
        return "learned"

    def _write(self, desk: Desk, material: Material, count: int) -> Steps[list[str]]:
        form = desk.prompts.formats["list"]
        asked = [
            Generate(
                account=desk.pay(Purpose.PROPOSE), prompt=form.prompt(material), temperature=1.0, seed=desk.draw(str(i))
            )
            for i in range(count)
        ]
        results = yield from ask(desk.model, asked)
        return [result.get().text for result in results]

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        texts = yield from self._write(desk, materials[0], max(1, int(desk.left()) - 1))
        (result,) = yield from ask(desk.model, [training(desk, [*texts, materials[0].text])])
        return Answerer(model=desk.model, adapter=result.get().adapter)


METHODS: dict[str, type[Method]] = {"frozen": Frozen, "passage": Passage, "edits": Edits}


def find_method(name: str, folder: Path | None = None) -> type[Method]:
    if name not in METHODS:
        raise InputError(f"method {name!r}", "is none")
    return METHODS[name]


def find_domain(kind: str, folder: Path | None = None) -> type[Domain]:
    if kind != "towns":
        raise InputError(f"domain {kind!r}", "is none")
    return Towns


ARMS: dict[str, Any] = {
    "frozen": {"method": "frozen"},
    "passage": {"method": "passage"},
    "edits": {"method": "edits", "label": "Edits"},
}
# The least that is a trial: two arms, two problems, one seed, nothing tuned.
SMALL: dict[str, Any] = {
    "arms": {name: ARMS[name] for name in ("frozen", "passage")},
    "compare": {"arm": "passage", "against": "frozen"},
    "problems": {"train": 0, "development": 1, "test": 2},
    "budget": {"per_problem": 2, "ladder": [1]},
    "tuning": {"trials": 0},
    "exam": {"controls": 0, "drift": 0},
    "seeds": 1,
}


def spec(arms: Mapping[str, Any] | None = None, **changes: Any) -> TrialSpec:
    fields: dict[str, Any] = {
        "name": "towns",
        "domains": {"towns": {"kind": "towns"}},
        "problems": {"train": 4, "development": 2, "test": 4},
        "seeds": 2,
        "budget": {"per_problem": 8, "ladder": [0.5, 1, 2]},
        "tuning": {"trials": 2},
        "arms": dict(arms or ARMS),
        "compare": {"arm": "edits"},
        "exam": {"controls": 2, "drift": 0},
    }
    return TrialSpec.model_validate(fields | changes)


def resolved(asked: TrialSpec | None = None) -> Trial:
    return resolve_spec(asked or spec(), SourceLines("trial"), find_method, find_domain)


def run(folder: Path, asked: TrialSpec | None = None, **how: Any) -> TrialResult:
    defaults: dict[str, Any] = {"load": load, "device": "cpu"}
    return run_trial(resolved(asked), folder, **(defaults | how))
