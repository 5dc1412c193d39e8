"""Claim cards: a comparison from any paper, written down by hand with whatever it states and nothing more."""

import contextlib
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from netgain.audit.card_journal import Answers, JournalCost, charges_of, exam_of, learned_name, read_answers
from netgain.errors import InputError, nearest
from netgain.extensions import said_by
from netgain.metering.price import known_weights, rough_training_flops
from netgain.records.claim import Arm, Charge, Claim, Exam, Name, PublishedAnswer, Read, RewardRun, Role, Training
from netgain.records.cost import Cost, Currency, Purpose
from netgain.records.provenance import Source
from netgain.records.stated import Loss, Stated, digits_of, from_per_cent
from netgain.strict_yaml import load_yaml


def _no_truth_value(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("true or false is not a number")  # noqa: TRY004 - pydantic reports a ValueError
    return value


_Number = BeforeValidator(_no_truth_value)
Amount = Annotated[float, _Number, Field(ge=0, le=1e30, allow_inf_nan=False)]
Share = Annotated[
    float,
    BeforeValidator(from_per_cent),
    _Number,
    Field(ge=0, le=1, description="a fraction between 0 and 1, not per cent; or 47.0%"),
]
Sure = Literal["", "data", "recomputed", "primary text", "summary"]
Positive = Annotated[int, _Number, Field(ge=1, le=10**9)]

REPORTED = (
    "gradient updates",
    "training tokens",
    "FLOPs",
    "device time of each arm",
    "teacher's tokens or dollars",
    "tuning trials",
    "cost of evaluation",
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


@final
class OuterLoop(_Strict):
    """An outer loop by its counts: inner loops = rounds x contexts x samples x repeats."""

    rounds: Positive | None = None
    contexts: Positive | None = None
    samples: Positive | None = None
    repeats: Positive | None = None
    updates_per_inner_loop: Amount | None = None
    tokens_per_inner_loop: Amount | None = None

    @model_validator(mode="after")
    def _can_be_counted(self) -> Self:
        if (self.inner_loops or 0) > 10**12:  # the most that a claim counts
            raise ValueError(f"they make {self.inner_loops} inner loops; at most 10**12 are read")
        return self

    @property
    def inner_loops(self) -> int | None:
        """How many inner loops were trained, where all four counts are stated."""
        if self.rounds is None or self.contexts is None or self.samples is None or self.repeats is None:
            return None
        return self.rounds * self.contexts * self.samples * self.repeats


@final
class Cited(_Strict):
    """Where a number was read, and how sure it is."""

    where: str
    sure: Sure = ""


@final
class CardArm(_Strict):
    """One arm. Amounts are for one problem; what the paper does not state is left out.

    ``cost`` takes them from a journal that a script wrote (docs/scripts.md), ``answers`` the accuracy from a file.
    ``source`` is where its figures were read; ``sources`` says it of single figures that were read elsewhere.
    """

    role: Role
    label: str = ""
    accuracy: Share | None = None
    n_questions: Positive | None = None
    n_problems: Positive | None = None
    seeds: Positive | None = None
    updates: Amount | None = None
    tokens: Amount | None = None
    tokens_padded: Amount | None = None
    flops: Amount | None = None
    trained: Literal["lora", "full"] | None = None
    learning_rate: Amount | None = None
    epochs: Amount | None = None
    batch_size: Positive | None = None
    model: str | None = None
    model_parameters: Amount | None = None
    outer_loop: OuterLoop | None = None
    cost: JournalCost | None = None
    answers: Path | None = None
    stated: Stated = Stated()
    source: Cited | str = ""
    sources: dict[str, Cited] = {}

    @model_validator(mode="before")
    @classmethod
    def _digits_as_printed(cls, fields: Any) -> Any:
        """``"47.0%"`` says that three decimals were given, where the number 0.47 does not."""
        digits = digits_of(fields.get("accuracy")) if isinstance(fields, dict) else None
        stated = fields.get("stated", {}) if isinstance(fields, dict) else None
        if digits is None or not isinstance(stated, dict) or "digits" in stated:
            return fields
        return fields | {"stated": stated | {"digits": digits}}

    @model_validator(mode="after")
    def _sources_are_of_figures(self) -> Self:
        figures = [*type(self).model_fields, *Stated.model_fields]
        unknown = next((name for name in self.sources if name not in figures), None)
        if unknown is not None:
            raise ValueError(f"sources: {unknown!r} is not a field of an arm; {nearest(unknown, figures)}")
        return self

    @property
    def place(self) -> Cited:
        """Where its figures were read unless ``sources`` says otherwise."""
        return self.source if isinstance(self.source, Cited) else Cited(where=self.source)

    @model_validator(mode="after")
    def _padding_only_adds(self) -> Self:
        if self.tokens is not None and self.tokens_padded is not None and self.tokens_padded < self.tokens:
            raise ValueError(f"tokens_padded = {self.tokens_padded:g} is below tokens = {self.tokens:g}")
        return self

    @model_validator(mode="after")
    def _measured_or_stated(self) -> Self:
        stated = [name for name in ("updates", "tokens", "tokens_padded", "flops") if self.__dict__[name] is not None]
        if self.cost is not None and stated:
            raise ValueError(f"{stated[0]} is stated beside a cost that a journal holds; leave one of them out")
        if self.cost is not None and self.role is Role.FROZEN:
            raise ValueError("a frozen arm has no cost")
        if self.answers is not None and (self.accuracy is not None or self.n_questions is not None):
            raise ValueError("accuracy or n_questions is stated beside a file of answers; leave one of them out")
        return self


@final
class Card(_Strict):
    """The YAML file. ``setting`` names what the arms have in common; ``reported`` kinds of compute are yes or no."""

    title: str
    paper: str = ""
    url: str = ""
    model: str | None = None
    model_parameters: Amount | None = None
    setting: str = "as published"
    headline: str
    rival: str | None = None
    frozen: str | None = None
    read: Read = ""
    losses: tuple[Loss, ...] = ()
    regressions: Literal["checked", "not checked", "not stated"] = "not stated"
    reported: dict[str, bool] = {}
    arms: Annotated[dict[Name, CardArm], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for field in ("headline", "rival", "frozen"):
            name = getattr(self, field)
            if name is not None and name not in self.arms:
                raise ValueError(f"{field} = {name!r} is not one of the arms ({', '.join(self.arms)})")
        if self.headline == self.rival:
            raise ValueError(f"headline and rival are both {self.headline!r}")
        if "frozen" in self.arms and self.arms["frozen"].role is not Role.FROZEN:
            raise ValueError("the name 'frozen' is kept for the frozen model; call this arm something else")
        unknown = [kind for kind in self.reported if kind not in REPORTED]
        if unknown:
            raise ValueError(f"reported: {unknown[0]!r} is not one of {', '.join(REPORTED)}")
        return self


def read_card(path: Path) -> Claim:
    """The claim on a card. Raises InputError with file and line for a place that is not filled in or breaks a rule."""
    _require_filled_in(path)
    try:
        return _claim(load_yaml(path, Card), path)
    except ValidationError as error:  # figures that are sound by themselves and not together
        raise InputError(str(path), said_by(error), "look into the figures behind it") from None


def _claim(card: Card, path: Path) -> Claim:
    answers = {name: read_answers(name, arm.answers, path) for name, arm in card.arms.items() if arm.answers}
    exams = (exam_of(answers.values()),) if answers else ()
    measured = {name: charges_of(name, arm.cost, path) for name, arm in card.arms.items() if arm.cost}
    learned = {name: name in measured and measured[name][1] for name in card.arms}
    arms = tuple(
        _examined(_arm(name, arm, card), answers.get(name), exams, learned=learned[name])
        for name, arm in card.arms.items()
    )
    loops = [(name, arm.outer_loop) for name, arm in card.arms.items() if arm.outer_loop]
    stated = {name: _charges(name, arm, card, path) for name, arm in card.arms.items() if name not in measured}
    charges = [charge for name in card.arms for charge in (stated[name] if name in stated else measured[name][0])]
    charges += [_loop_charge(name, loop, card, path) for name, loop in loops]
    return Claim(
        name=path.stem,
        title=card.title,
        paper=card.paper,
        url=card.url,
        model=card.model or "",
        headline=card.headline,
        rival=card.rival,
        exams=exams,
        arms=arms,
        reward_runs=tuple(_run(name, loop) for name, loop in loops),
        charges=tuple(charges),
        reported={
            kind: Source(file=path.name, field="reported") if yes else None for kind, yes in card.reported.items()
        },
        searched=f"what the card {path.name} says of the paper",
        read=card.read,
        regressions=_regressions(card),
        losses=card.losses,
        tokens="as the card states",
        notes=(_origin(card), *_model_notes(card)),
    )


def _origin(card: Card) -> str:
    names = [name for name, arm in card.arms.items() if arm.cost or arm.answers]
    if not names:
        return "A hand-written claim card: nothing was recomputed from published results."
    return f"A hand-written claim card; of {', '.join(names)} costs or answers are those of a script's own records."


def _examined(arm: Arm, answers: Answers | None, exams: tuple[Exam, ...], *, learned: bool) -> Arm:
    """The arm with what a script's records say of it."""
    fields: dict[str, Any] = {}
    if learned:
        fields["invests"] = (*arm.invests, learned_name(arm.name))
    if answers is not None:
        fields |= {"exam": exams[0].name, "correct": answers.verdicts(exams[0]), "accuracy": answers.accuracy}
        fields |= {"n_questions": answers.count, "n_problems": arm.n_problems or len(answers.by_problem)}
        fields["averaged"] = "questions"
    return arm.model_copy(update=fields)


def _require_filled_in(path: Path) -> None:
    """A card as ``--new-card`` wrote it supports nothing, whatever its rules would make of the placeholders."""
    with contextlib.suppress(OSError, UnicodeDecodeError):  # reading it as YAML says what is wrong
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
            found = _PLACEHOLDER.match(line)
            if found is not None:
                remedy = f"write {found['hint']}" if found["hint"] else "write what the paper states"
                problem = f"{found['field'].strip()} is still {FILL_IN}"
                raise InputError(f"{path}:{number}", problem, f"{remedy}; or delete the line")


def _arm(name: str, arm: CardArm, card: Card) -> Arm:
    frozen = card.arms[card.frozen] if card.frozen and name != card.frozen else None
    return Arm(
        name=name,
        label=arm.label or name,
        setting=card.setting,
        role=arm.role,
        model=arm.model or card.model or "",
        accuracy=arm.accuracy,
        frozen_accuracy=frozen.accuracy if frozen else None,
        frozen_questions=frozen.n_questions if frozen else None,
        n_problems=arm.n_problems,
        n_questions=arm.n_questions,
        seeds=arm.seeds,
        training=Training(epochs=arm.epochs, learning_rate=arm.learning_rate, batch_size=arm.batch_size),
        invests=(_loop_name(name),) if arm.outer_loop else (),
        invests_unpublished=("its outer loop",) if arm.outer_loop and arm.outer_loop.inner_loops is None else (),
        sources=(
            Source(file=arm.place.where or card.paper or "card", field=name, sure=arm.place.sure),
            *(Source(file=cited.where, field=f"{name}.{f}", sure=cited.sure) for f, cited in arm.sources.items()),
        ),
        stated=arm.stated if arm.stated != Stated() else None,
    )


def _charges(name: str, arm: CardArm, card: Card, path: Path) -> list[Charge]:
    """The arm's work on one problem, as stated; a frozen arm took nothing, and one in context made no updates."""
    source = Source(file=path.name, field=f"arms.{name}", note=arm.place.where)
    if arm.role is Role.FROZEN:
        nothing = Cost.zero()
        return [Charge(arm=name, purpose=Purpose.ADAPT, operation="none", problems=1, cost=nothing, source=source)]
    flops, estimated = _flops(arm, card)
    updates = 0.0 if arm.role is Role.IN_CONTEXT and arm.updates is None else arm.updates
    cost = Cost(updates=updates, tokens_real=arm.tokens, tokens_padded=arm.tokens_padded, flops=flops)
    return [
        Charge(
            arm=name,
            purpose=Purpose.ADAPT,
            operation="work on one problem",
            problems=1,
            cost=cost,
            estimated=(Currency.FLOPS,) if estimated else (),
            source=source,
        )
    ]


def _flops(arm: CardArm, card: Card) -> tuple[float | None, bool]:
    """As stated; else from the stated weights and tokens by the 4 P T (LoRA) or 6 P T (full) rule; else unknown."""
    if arm.flops is not None:
        return arm.flops, False
    tokens = arm.tokens_padded if arm.tokens_padded is not None else arm.tokens
    weights = arm.model_parameters or card.model_parameters
    model = arm.model or card.model
    if weights is None:
        weights = known_weights(model or "")
    if weights is None or tokens is None or arm.trained is None:
        return None, False
    return rough_training_flops(weights, tokens, arm.trained), True


def _model_notes(card: Card) -> list[str]:
    """Models whose size is not known, so that tokens cannot be turned into FLOPs."""
    named = {
        arm.model or card.model for arm in card.arms.values() if not (arm.model_parameters or card.model_parameters)
    }
    unknown = sorted(model for model in named if model and known_weights(model or "") is None)
    return [f"No shape of {model} ships with netgain: FLOPs need model_parameters on the card." for model in unknown]


def _loop_name(name: str) -> str:
    return f"{name}: outer loop"


def _loop_charge(name: str, loop: OuterLoop, card: Card, path: Path) -> Charge:
    loops = loop.inner_loops
    updates = loops * loop.updates_per_inner_loop if loops and loop.updates_per_inner_loop is not None else None
    tokens = loops * loop.tokens_per_inner_loop if loops and loop.tokens_per_inner_loop is not None else None
    return Charge(
        arm=_loop_name(name),
        purpose=Purpose.ADAPT,
        operation="inner loops",
        count=loops,
        cost=Cost(updates=updates, tokens_real=tokens),
        source=Source(file=path.name, field=f"arms.{name}.outer_loop"),
    )


def _run(name: str, loop: OuterLoop) -> RewardRun:
    return RewardRun(
        name=_loop_name(name),
        prompt="",
        round=0,
        problems=(loop.contexts or 0) * (loop.rounds or 0),
        edits=loop.samples or 0,
        repeats=loop.repeats or 0,
        kept=(loop.contexts or 0) * (loop.rounds or 0),
    )


def _regressions(card: Card) -> PublishedAnswer | None:
    if card.regressions == "not stated":
        return None
    return PublishedAnswer(answer="yes" if card.regressions == "checked" else "no", evidence=("as the card states",))


FILL_IN = "FILL IN"
_PLACEHOLDER = re.compile(rf"^\s*(?P<field>[^#:]+):\s*{FILL_IN}\s*(?:#\s*(?P<hint>.*))?$")

NEW_CARD = """\
# A claim card: what a paper states about its comparison, and nothing it does not state.
# Replace every FILL IN, or delete its line: what is not stated stays unknown. Then: netgain audit THIS_FILE
# Arms may be called what you like, and there may be more or fewer of them.
title: FILL IN                 # what is claimed, in a few words; for example Our method against fine-tuning
paper: FILL IN                 # where it is claimed; for example arXiv 0000.00000
model: FILL IN                 # a hub name gives the shape for FLOPs; for example Qwen/Qwen2.5-7B
setting: FILL IN               # what the arms below have in common; for example single passage
headline: ours                 # the arm whose gain is claimed
rival: finetuned               # the arm it is claimed to beat
frozen: base                   # the untrained model
regressions: FILL IN           # are earlier tasks examined again? checked or not checked; for example not checked
reported:                      # which kinds of compute does the paper state for each arm?
  gradient updates: FILL IN    # true or false; for example false
  training tokens: FILL IN     # true or false; for example false
  FLOPs: FILL IN               # true or false; for example false
  device time of each arm: FILL IN      # true or false; for example false
  teacher's tokens or dollars: FILL IN  # true or false; for example false
  tuning trials: FILL IN       # true or false; for example false
  cost of evaluation: FILL IN  # true or false; for example false
arms:                          # a script's own records in place of figures: cost, answers (docs/scripts.md)
  base:
    role: frozen               # frozen | in_context | passage | synthetic | teacher | self_improving | other
    accuracy: FILL IN          # a fraction, not per cent; for example 0.33
    n_questions: FILL IN       # how many questions it answered; for example 974
    n_problems: FILL IN        # over how many passages or tasks; for example 200
  finetuned:
    role: passage
    accuracy: FILL IN          # a fraction, not per cent; for example 0.40
    n_questions: FILL IN       # how many questions it answered; for example 974
    n_problems: FILL IN        # over how many passages or tasks; for example 200
    seeds: FILL IN             # how many runs; for example 1
    updates: FILL IN           # gradient updates for one problem; for example 10
    tokens: FILL IN            # real training tokens for one problem, every epoch counted; for example 1700
    trained: FILL IN           # lora or full; with model and tokens it gives FLOPs by 4PT or 6PT; for example lora
    learning_rate: FILL IN     # for example 1.0e-3
  ours:
    role: self_improving
    accuracy: FILL IN          # a fraction, not per cent; for example 0.47
    n_questions: FILL IN       # how many questions it answered; for example 974
    n_problems: FILL IN        # over how many passages or tasks; for example 200
    seeds: FILL IN             # how many runs; for example 1
    updates: FILL IN           # gradient updates for one problem; for example 79
    tokens: FILL IN            # real training tokens for one problem, every epoch counted; for example 3750
    trained: FILL IN           # lora or full; for example lora
    learning_rate: FILL IN     # for example 1.0e-3
    outer_loop:                # what was spent once, before the arm could be run; delete it if there was nothing
      rounds: FILL IN          # for example 2
      contexts: FILL IN        # training passages a round; for example 50
      samples: FILL IN         # edits tried for each; for example 5
      repeats: FILL IN         # trainings of each edit; for example 3
      updates_per_inner_loop: FILL IN  # for example 87
"""
