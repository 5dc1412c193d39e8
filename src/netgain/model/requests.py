"""What may be asked of a language model, what comes back, and what a model must be able to do. Pure data, no torch.

Every request carries the account that pays for it, so a batch may serve many problems, arms and budgets at once.
Whatever goes wrong with one request is its own ``Failure`` (engine.jobs); the rest of the batch is unharmed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar, final

import numpy as np

from netgain.domains.problem import Prompt
from netgain.engine.jobs import Failure, Form, InnerLoopJob, Sampling, Work
from netgain.errors import FaultError, InputError
from netgain.metering.account import Account
from netgain.metering.estimate import memory_left
from netgain.metering.price import Lora, Training
from netgain.metering.shape import ModelShape
from netgain.records.cost import Cost, Currency, Purpose
from netgain.records.events import Setting

Adapter = object  # belongs to the model that trained it; nobody else looks inside
Finish = Literal["eos", "stop", "length", "failed"]


def _check_account(account: object) -> None:
    if not isinstance(account, Account):
        raise TypeError(f"account = {account!r}: every request is paid for by an Account; nothing computes without one")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Generate:
    """Continue ``prompt`` by up to ``max_new_tokens`` tokens, with one adapter or none.

    ``temperature`` 0 takes the likeliest token; above 0 tokens are drawn from the smallest set whose probability
    reaches ``top_p``, by a stream of this request's own, named by ``seed`` and the prompt: what is drawn does not
    depend on the rest of the batch. The answer ends before the first of the ``stop`` strings; one of white
    space counts only behind the first visible character. Within a ``form`` only tokens are drawn that keep to it.
    """

    account: Account
    prompt: Prompt
    adapter: Adapter | None = None
    max_new_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int = 0
    form: Form = ()

    def __post_init__(self) -> None:
        _check_account(self.account)
        self.sampling.validate()

    @property
    def sampling(self) -> Sampling:
        """How the answer is drawn, as the engine takes it."""
        return Sampling(
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            stop=self.stop,
            seed=self.seed,
            form=self.form,
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How likely ``continuation`` is after ``prompt``, under one adapter or none.

    A continuation is a text, or the very tokens of an answer (:attr:`Answered.ids`), which a text of theirs may be cut
    into otherwise: with answers drawn at temperature 1 and ``top_p`` 1, the mean difference of their scores under two
    adapters estimates the Kullback-Leibler divergence of the one that drew them from the other. ``hidden`` asks for the
    last hidden states as well, which were computed anyway.
    """

    account: Account
    prompt: Prompt
    continuation: str | tuple[int, ...]
    adapter: Adapter | None = None
    hidden: bool = False

    def __post_init__(self) -> None:
        _check_account(self.account)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """Train one LoRA adapter as ``job`` says; its sequences are token ids, see :meth:`UnmeteredModel.tokenize`.

    With ``start`` training goes on from an adapter of this model, its optimizer where that was kept
    (``InnerLoopJob.resumable``).
    """

    account: Account
    job: InnerLoopJob
    start: Adapter | None = None

    def __post_init__(self) -> None:
        _check_account(self.account)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TrainFull:
    """Train all weights of a copy of the model as ``job`` says; what it says of adapters does not matter.

    Weights, gradients and the optimizer's two moments are held in the model's own precision: load it in float32 where
    steps are small.
    """

    account: Account
    job: InnerLoopJob

    def __post_init__(self) -> None:
        _check_account(self.account)
        if self.job.pad_loss.kind != "masked":
            raise InputError(f"job {self.job.key!r}", "full fine-tuning has no loss on pads", "use pad_loss masked")
        if self.job.resumable:
            raise InputError(f"job {self.job.key!r}", "full fine-tuning keeps no optimizer", "train an adapter")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """Add an adapter to the weights of a copy of the model. See :meth:`netgain.model.metered.Model.merged`."""

    account: Account
    adapter: Adapter

    def __post_init__(self) -> None:
        _check_account(self.account)


Request = Generate | Score | Train | TrainFull | Merge


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RunScript:
    """Start ``command`` in a process of its own, in an empty folder, to train this model on the books.

    ``account`` has no purpose of its own (or that of tuning) and holds the budget; what the script does not name a
    purpose for is charged under ``purpose``. ``task`` (plain JSON values) is what the script is given beside the model,
    the budget and its output folder: see :class:`netgain.model.script_task.ScriptTask`. It is stopped after
    ``time_limit`` seconds of the clock, and not believed if it worked more than ``startup`` processor seconds beside
    what it booked, and a quarter of that.
    """

    account: Account
    command: tuple[str, ...]
    task: Mapping[str, Any]
    purpose: Purpose
    time_limit: float = 3600.0
    startup: float = 20.0

    def __post_init__(self) -> None:
        _check_account(self.account)
        if not self.command:
            raise InputError("command", "is empty", "name a program and its script: [python, my_train.py]")


Asked = Request | RunScript  # of the door: what a model does itself, and what a script does to it


def scheduled(job: InnerLoopJob) -> dict[str, Setting]:
    """The schedule of the learning rate, as records name it: nothing for the usual one, which older records have."""
    usual = job.schedule == "linear" and not job.warmup_steps
    return {} if usual else {"schedule": job.schedule, "warmup_steps": job.warmup_steps}


def recorded(request: Request) -> dict[str, Setting]:
    """The settings of a request that decide what its result means, for the journal; no text, no token."""
    if isinstance(request, Generate):
        return {
            "adapter": request.adapter is not None,
            "max_new_tokens": request.max_new_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "seed": request.seed,
            **({"constrained": True} if request.form else {}),
        }
    if isinstance(request, Score):
        return {"adapter": request.adapter is not None}
    if isinstance(request, Merge):
        return {"adapter": True}
    job = request.job
    adapted: dict[str, Setting] = {}
    if isinstance(request, Train):
        targets = ",".join(job.target_modules)
        adapted = {"pad_loss": str(job.pad_loss), "rank": job.rank, "alpha": job.alpha, "target_modules": targets}
        adapted |= {"from": "an adapter"} if request.start is not None else {}
    if job.policy is not None:  # what older journals do not have stands only where it differs
        policy = job.policy
        adapted |= {"loss": policy.loss, "ratio": policy.ratio, "clip": policy.clip, "kl": policy.kl}
    return (
        scheduled(job)
        | adapted
        | {
            "key": job.key,
            "sequences": len(job.sequences),
            "epochs": job.epochs,
            "max_steps": job.max_steps,
            "closing": len(job.closing),
            "batch_size": job.batch_size,
            "learning_rate": job.learning_rate,
            "max_grad_norm": job.max_grad_norm,
            "seed": job.seed,
        }
    )


@final
@dataclass(frozen=True, slots=True)
class Part:
    """Work of one kind within a request: plain, with an adapter beside the weights, with training, or a merge."""

    work: Work
    adapter: Lora | None = None
    training: Training | None = None
    merged: Lora | None = None


@final
@dataclass(frozen=True, slots=True)
class Answered:
    """A generation: its text up to the first stop string, and how many tokens it has.

    ``ids`` are those tokens, an end-of-text token and what belongs to the stop string included; a remote model tells
    none.
    """

    text: str
    tokens: int
    finish: Finish
    ids: tuple[int, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Scored:
    """The natural logarithm of a continuation's probability, how many tokens it has, whether greedy choice gives it.

    ``each`` is that of every token, and ``entropy`` the mean entropy that they were drawn from, in nats; a remote model
    tells neither. ``hidden`` [tokens, width] are the last hidden states that predicted the tokens, where asked for.
    """

    log_likelihood: float
    tokens: int
    greedy: bool
    each: tuple[float, ...] = ()
    entropy: float | None = None
    hidden: np.ndarray | None = None


@final
@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """An adapter and the loss of each step; ``adapter`` is None if training failed. ``clipped`` is the share of clipped
    tokens in each step of a policy loss."""

    key: str
    adapter: Adapter | None
    losses: tuple[float, ...]
    clipped: tuple[float, ...] = ()


@final
@dataclass(frozen=True, slots=True, eq=False)
class Derived:
    """Another model, with the loss of each step that led to it; None if training failed. ``Model`` wraps it."""

    key: str
    backend: "UnmeteredModel | None"
    losses: tuple[float, ...] = ()


Product = Answered | Scored | Trained | Derived
P = TypeVar("P", covariant=True)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """What a backend says of one request when it has ended: what came of it, the work it really took, why it failed.

    ``request`` is its place in the batch. ``parts`` None means that nobody knows how much was done: the whole quote is
    then charged. ``estimated`` says how counts in ``parts`` were estimated where nobody counted them. ``again`` says
    that another attempt may succeed, after ``wait`` seconds at least.
    """

    request: int
    product: Product | None
    parts: tuple[Part, ...] | None
    failure: Failure | None = None
    estimated: str = ""
    again: bool = False
    wait: float = 0.0


class Prices(Protocol):
    """Turns counted work into a cost."""

    @property
    def timed(self) -> bool:
        """Whether the model runs on devices of this process, so that its seconds are measured and booked."""

    def cost(self, part: Part) -> Cost:
        """The cost of this work; what nobody knows is None."""

    @property
    def shape(self) -> ModelShape | None:
        """The dimensions that FLOPs are priced by; None if they are unknown."""

    def statement(self) -> dict[str, Any]:
        """Where these prices are from, for the record: plain JSON values."""


class UnmeteredModel(Protocol):
    """A model without a meter. Private to this package: :class:`~netgain.model.metered.Model` is the way to one."""

    @property
    def name(self) -> str:
        """How records name the model."""

    @property
    def digest(self) -> str:
        """Which model it is, by content: ``sha256:...``."""

    @property
    def fingerprint(self) -> str:
        """Of the weights that are in memory here; empty where there are none."""

    @property
    def ends(self) -> tuple[int, ...]:
        """The tokens that end an answer; none where they are not known."""

    def quote(self, requests: Sequence[Request]) -> list[tuple[Part, ...]]:
        """Upper bounds on the work of each request, run together as one batch. Nothing is run.

        Raises InputError for a request that makes no sense to this model (an unknown adapter or LoRA target).
        """

    def run(self, requests: Sequence[Request], attempt: int) -> Iterator[Done]:
        """Do what is asked, all of one kind; every request is reported once, as soon as it has ended."""

    @property
    def templated(self) -> bool:
        """Whether it has a template for conversations, as instruct models do."""

    def tokenize(self, text: Prompt, *, special: bool, answer: str = "") -> tuple[int, ...]:
        """Token ids of a text, with the special tokens that the model puts around one where ``special``; of a
        conversation, those of its template. ``answer`` is the beginning of an answer behind it."""

    def shown(self, prompt: Prompt) -> str:
        """A prompt as the model reads it, special tokens included where they are known."""

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens, special ones left out."""

    def save_adapter(self, adapter: Adapter, folder: Path) -> None:
        """Write an adapter in PEFT's format."""

    def load_adapter(self, folder: Path) -> Adapter:
        """Read an adapter in PEFT's format."""

    def keep_adapter(self, adapter: Adapter, file: Path) -> dict[str, Any]:
        """Write an adapter with all that its training goes on from to ``file`` (safetensors), where it has weights.

        Plain JSON values from which :meth:`kept_adapter` makes it again, to the last bit.
        """

    def kept_adapter(self, fields: Mapping[str, Any], file: Path) -> Adapter:
        """The adapter that was kept so; one that can be quoted for but not run with where the file is gone."""

    def located(self) -> tuple[str, str]:
        """The folder or hub name from which another process loads the very same model, and the dtype to load it in."""

    def with_output(self, folder: Path) -> "Adapter | Derived":
        """What a script left in a folder: an adapter in PEFT's format, or this model with other weights."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Result(Generic[P]):
    """One request's outcome. ``product`` is what it yielded (None if it failed before that).

    ``charges`` are the journal's rows that paid for it, one for each attempt: give them to ``Book.discard`` to throw
    the result away. ``cost`` is what the last attempt took, ``overrun`` the currencies in which that was above its
    quote (booked in full all the same), ``estimated`` how its tokens were estimated where nobody counted them.
    """

    product: P | None
    failure: Failure | None
    charges: tuple[int, ...]
    cost: Cost
    overrun: tuple[Currency, ...] = ()
    estimated: str = ""

    @property
    def fault(self) -> FaultError | None:
        """What the machine lacked, or the server that generates for it, where that is why it failed: nothing that a
        method could have done otherwise."""
        if self.failure is not None and self.failure.kind == "unserved":
            attempts = f"{self.failure.step} attempt{'' if self.failure.step == 1 else 's'}"
            return FaultError("serve", f"the server gave no answer in {attempts} ({self.failure.detail})")
        if self.failure is None or self.failure.kind != "out_of_memory":
            return None
        remedy = "give it more, or ask for fewer jobs (--jobs), and run it again"
        return FaultError("memory", f"{self.failure.detail}; {memory_left()}", remedy)

    @property
    def value(self) -> P | None:
        """The product; None where the request failed, though something may have come of it before."""
        return self.product if self.failure is None else None

    def get(self) -> P:
        """The product. Raises ValueError, with the reason, where the request failed; FaultError for want of memory."""
        if self.fault is not None:
            raise self.fault
        if self.value is None:
            reason = "nothing came of it" if self.failure is None else f"{self.failure.kind}: {self.failure.detail}"
            raise ValueError(f"the request failed ({reason})")
        return self.value
