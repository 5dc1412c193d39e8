"""What is asked of the engine, as pure data: the training of one adapter, how answers are drawn; and what it ran.

No torch here.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import chain, islice
from math import cos, isfinite, pi
from typing import Any, Literal, Self, final

import numpy as np

from netgain.errors import InputError

RESIDENT = 16  # adapters that are trained at the same time, unless stated
POSITIONS = 1024  # tokens in a pack of their steps
ROWS = 80  # prompts that are answered at the same time
SCORED = 8  # times as many positions in a batch that is only read: nothing of it is kept for a backward pass
HEAD_ROWS = 192  # labelled rows whose logits exist at a time: all at once they would be the largest tensor by far
PLANNED = ("llama", "qwen2", "qwen3")  # architectures that have the planned backend, by their model_type
Schedule = Literal["linear", "cosine", "constant"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Counts that add up, over sequences, steps and requests; what a failed step did is in them.

    ``positions``       positions that passed the model forward: text, pads that stand for the reference's, filler
    ``real``            those with text
    ``context``         pairs (query, key) that one head's attention multiplies forward in one layer, as the kernel
                        runs them: masked pairs count where they are computed
    ``head_positions``  positions at which logits were computed
    ``training``        positions with a loss
    ``generated``       tokens decoded
    ``updates``         optimizer steps
    """

    positions: float = 0
    real: float = 0
    context: float = 0
    head_positions: float = 0
    training: float = 0
    generated: float = 0
    updates: float = 0

    def __post_init__(self) -> None:
        for name in COUNTS:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)}: work is never negative")

    def __add__(self, other: Self) -> Self:
        return type(self)(**{name: getattr(self, name) + getattr(other, name) for name in COUNTS})

    def __mul__(self, times: float) -> Self:
        return type(self)(**{name: getattr(self, name) * times for name in COUNTS})

    __rmul__ = __mul__


COUNTS = tuple(field.name for field in fields(Work))


@final
@dataclass(frozen=True, slots=True)
class PadLoss:
    """What the pads of the reference protocol contribute to the loss.

    ``masked``  nothing: pads have no loss and are not run
    ``exact``   the reference as published: every sequence is padded to ``length`` with the end-of-text token, whose
                labels stay in the loss. A pad attends to text only, so pads are run without a rectangle
    ``probes``  ``probes`` pads at stratified positions, weighted to stand in for all of them
    """

    kind: Literal["masked", "probes", "exact"] = "masked"
    probes: int = 16
    length: int = 2048

    def __post_init__(self) -> None:
        if self.kind not in ("masked", "probes", "exact"):
            raise InputError(f"pad_loss {self.kind!r}", "is not a way to treat pads", "use masked, probes or exact")
        if self.probes < 1 or self.length < 2:
            raise InputError("pad_loss", f"probes = {self.probes}, length = {self.length}: at least 1 and 2 are needed")

    def __str__(self) -> str:
        """As it stands in records: ``masked``, ``exact(2048)`` or ``probes(16 of 2048)``."""
        if self.kind == "masked":
            return self.kind
        return f"exact({self.length})" if self.kind == "exact" else f"probes({self.probes} of {self.length})"

    def pads(self, text: int) -> int:
        """How many pads are run after ``text`` real tokens."""
        pads = 0 if self.kind == "masked" else max(0, self.length - 1 - text)
        return pads if self.kind == "exact" else min(pads, self.probes)

    def positions(self, text: int) -> tuple[list[int], float]:
        """Positions of the pads to run after ``text`` real tokens, and the weight of each relative to a real label.

        The pad queries of the reference are ``text .. length - 2`` (the last position has no label).
        """
        pads = self.length - 1 - text
        if self.kind == "masked" or pads <= 0:
            return [], 0.0
        if self.kind == "exact" or pads <= self.probes:
            return list(range(text, self.length - 1)), 1.0
        # One probe in the middle of each of equally long stretches: pads differ by their position only.
        chosen = [text + int((i + 0.5) * pads / self.probes) for i in range(self.probes)]
        return chosen, pads / self.probes


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyLoss:
    """Learn from sequences as from actions with advantages, instead of by cross-entropy (``engine/policy_loss.py``).

    ``advantages`` has one number a sequence; ``each``, where given, one for each labelled token instead. ``old`` are
    the log-probabilities of each sequence's labelled tokens under the policy that drew them; none where a batch is one
    step, whose policy is that one. ``reference`` are those under the model that ``kl`` times the divergence keeps the
    policy near; needed where ``kl`` is above 0.

    ``corrected`` weights the divergence by the ratio, which makes its gradient that of the true one where the policy
    has moved from the one that drew (DeepSeek-AI 2025, arXiv 2512.02556; TRL's ``use_bias_correction_kl``).

    ``ratio``  what is clipped: of each ``token``, the geometric mean over a ``sequence`` (GSPO), or their ``product``
    ``loss``   the mean over a batch: of each sequence's mean (``grpo``), of all tokens (``bnpo``), or a sum over all
               tokens by a constant, ``length`` tokens a sequence (``dr_grpo``)
    """

    advantages: Sequence[float]
    each: Sequence[Sequence[float]] = ()
    old: Sequence[Sequence[float]] = ()
    reference: Sequence[Sequence[float]] = ()
    clip: float = 0.2
    clip_high: float | None = None
    kl: float = 0.0
    corrected: bool = True
    ratio: Literal["token", "sequence", "product"] = "token"
    loss: Literal["grpo", "bnpo", "dr_grpo"] = "grpo"
    length: int = 1

    @property
    def kind(self) -> tuple[object, ...]:
        """What two losses must share to be in one pack."""
        kind = (self.clip, self.clip_high, self.kl, self.corrected, self.ratio, self.loss, self.length)
        return (*kind, bool(self.old), bool(self.each))

    def problem(self, labels: Sequence[int]) -> str:
        """What is wrong with it for sequences of so many labelled tokens; empty where nothing is."""
        for name in ("each", "old", "reference"):
            given = [len(tokens) for tokens in getattr(self, name)]
            if (given or (name == "reference" and self.kl)) and given != list(labels):
                what = "advantage" if name == "each" else "log-probability"
                return f"{name} has not one {what} for each labelled token"
        numbers = [*self.advantages, *chain.from_iterable((*self.each, *self.old, *self.reference))]
        if len(self.advantages) != len(labels) or not all(map(isfinite, numbers)):
            return "it needs a finite advantage for each sequence, and finite log-probabilities"
        low, high = self.clip, self.clip if self.clip_high is None else self.clip_high
        if not (0 <= low < 1 and high >= 0 and isfinite(high) and self.kl >= 0 and isfinite(self.kl) and self.length):
            return f"clip {low}, clip_high {high}, kl {self.kl}, length {self.length}: outside what they can be"
        return ""


@final
@dataclass(frozen=True, slots=True)
class Size:
    """How large one sequence is as the model gets it: its rows, those with text, those with a label."""

    rows: int
    text: int
    labelled: int


@final
@dataclass(frozen=True, slots=True)
class Example:
    """One sequence as the model gets it: ``text`` real rows, then pads. Lists are per row; weights are unnormalised.

    ``targets[i]`` is the label at row i; a weight of 0 means no loss there. The last three are a policy loss's: the
    advantage of the sequence or of each labelled token, and log-probabilities of these tokens.
    """

    tokens: list[int]
    positions: list[int]
    targets: list[int]
    weights: list[float]
    text: int
    advantage: float | Sequence[float] = 0.0
    old: Sequence[float] = ()
    reference: Sequence[float] = ()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class InnerLoopJob:
    """Train one LoRA adapter on ``sequences`` (token ids), as HF's Trainer does with its defaults.

    AdamW (0.9, 0.999, 1e-8, no decay), gradients clipped to ``max_grad_norm``, loss = mean over a batch's labelled
    tokens. The learning rate falls to 0 over all steps, linearly or as half a cosine (``schedule``), after it has risen
    for ``warmup_steps``, none by default (as HF's ``get_linear_schedule_with_warmup`` and its cosine). ``loss_masks``
    marks per sequence which tokens are predicted (by their own index). ``seed`` decides initial weights and order.
    ``pad_token`` is needed where pads have a loss. ``max_steps`` ends the job after so many steps, as in HF's Trainer:
    the schedule reaches 0 there. ``closing`` is one more sequence with one more step, the last: it uses up what is left
    of a budget.

    ``policy`` learns from the sequences by their advantages instead. A ``constant`` schedule keeps the learning rate,
    and ``resumable`` keeps the optimizer's moments with the adapter: together, another job can go on from it.
    """

    key: str
    sequences: Sequence[Sequence[int]]
    epochs: int
    learning_rate: float
    seed: int
    rank: int = 32
    alpha: float = 64.0
    target_modules: tuple[str, ...] = ("q_proj", "v_proj")
    max_grad_norm: float = 1.0
    batch_size: int = 1
    pad_loss: PadLoss = PadLoss()
    pad_token: int = 0
    loss_masks: Sequence[Sequence[bool]] | None = None
    max_steps: int | None = None
    closing: Sequence[int] = ()
    schedule: Schedule = "linear"
    warmup_steps: int = 0
    policy: PolicyLoss | None = None
    resumable: bool = False

    def __post_init__(self) -> None:
        self.validate()

    def validate(self) -> None:
        """Raise InputError for settings that nothing can be trained by; what a model makes impossible, check says."""
        where = f"job {self.key!r}"
        if self.epochs < 0 or self.batch_size < 1 or self.rank < 1:
            raise InputError(where, f"epochs {self.epochs}, batch size {self.batch_size}, rank {self.rank}: too small")
        if self.max_steps is not None and self.max_steps < 0:
            raise InputError(where, f"max_steps {self.max_steps} is below 0", "leave it out to train all epochs")
        if self.schedule not in ("linear", "cosine", "constant") or self.warmup_steps < 0:
            problem = f"schedule {self.schedule!r} with {self.warmup_steps} warm-up steps is none"
            raise InputError(where, problem, "use linear, cosine or constant, and 0 or more warm-up steps")
        if not (isfinite(self.learning_rate) and isfinite(self.alpha) and self.max_grad_norm > 0):
            raise InputError(where, "learning rate and alpha must be finite, the gradient limit above 0")
        if not self.target_modules:
            raise InputError(where, "target_modules is empty", "name at least one projection, such as q_proj")
        if self.loss_masks is not None:
            lengths = [len(mask) for mask in self.loss_masks]
            if lengths != [len(sequence) for sequence in self.sequences]:
                raise InputError(where, "loss_masks and sequences differ in length")
        if self.policy is not None:
            if self.closing or self.pad_loss.kind != "masked":
                raise InputError(where, "a policy loss has neither a closing sequence nor a loss on pads")
            problem = self.policy.problem([self.size(index).labelled for index in range(len(self.sequences))])
            if problem:
                raise InputError(where, f"policy: {problem}")

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole job."""
        return self._steps_before_closing + bool(self.closing)

    def rate(self, done: int) -> float:
        """The learning rate of the step that follows ``done`` steps."""
        if done < self.warmup_steps:
            return self.learning_rate * done / self.warmup_steps
        falling = max(1, self.total_steps - self.warmup_steps)
        if self.schedule == "constant":
            return self.learning_rate
        if self.schedule == "linear":
            return self.learning_rate * max(0.0, (self.total_steps - done) / falling)
        return self.learning_rate * max(0.0, (1.0 + cos(pi * (done - self.warmup_steps) / falling)) / 2)

    @property
    def count(self) -> int:
        """How many sequences there are, the closing one (the last) included."""
        return len(self.sequences) + bool(self.closing)

    def sequence(self, index: int) -> Sequence[int]:
        """The sequence of this number below :attr:`count`."""
        return self.sequences[index] if index < len(self.sequences) else self.closing

    @property
    def _steps_before_closing(self) -> int:
        whole = self.epochs * self._epoch_steps
        return whole if self.max_steps is None else min(whole, self.max_steps)

    @property
    def _epoch_steps(self) -> int:
        return -(-len(self.sequences) // self.batch_size)

    def orders(self) -> Iterator[np.ndarray]:
        """A fresh permutation of the sequences for every epoch, from the job's own generator, without end."""
        order = np.random.default_rng(self.seed)
        while True:
            yield order.permutation(len(self.sequences))

    def steps(self) -> Iterator[tuple[int, ...]]:
        """The sequences of each step, in order."""
        size = self.batch_size
        shuffled = ([int(i) for i in order] for order in self.orders())
        batches = (tuple(epoch[i : i + size]) for epoch in shuffled for i in range(0, len(epoch), size))
        last = [(len(self.sequences),)] if self.closing else []
        return chain(islice(batches, self._steps_before_closing), last)

    def visits(self) -> list[int]:
        """How often each sequence is trained on, without going through the steps."""
        epochs, rest = divmod(self._steps_before_closing, self._epoch_steps) if self.sequences else (0, 0)
        times = [epochs] * len(self.sequences)
        if rest:
            for index in next(islice(self.orders(), epochs, None))[: rest * self.batch_size]:
                times[index] += 1
        return times + [1] * bool(self.closing)

    def widths(self) -> Counter[int]:
        """How many rows of each width are run where every step is a rectangle as wide as its longest sequence."""
        rows = np.array([self.size(index).rows for index in range(len(self.sequences))], dtype=np.int64)
        found: Counter[int] = Counter([self.size(len(self.sequences)).rows] if self.closing else [])
        left, size = self._steps_before_closing, self.batch_size
        for order in self.orders() if left else ():
            epoch = rows[order[: left * size]]
            firsts = np.arange(0, len(epoch), size)
            counts = np.diff(firsts, append=len(epoch))
            for width, count in zip(np.maximum.reduceat(epoch, firsts).tolist(), counts.tolist(), strict=True):
                found[width] += count
            left -= len(firsts)
            if left <= 0:
                break
        return found

    def size(self, index: int) -> Size:
        """The size of :meth:`example`, without making it."""
        text = len(self.sequence(index))
        pads = self.pad_loss.pads(text)
        ended = bool(pads) or (self.pad_loss.kind != "masked" and text < self.pad_loss.length)
        mask = self._mask(index)
        labels = max(0, text - 1) if mask is None else sum(bool(m) for m in mask[1:])
        return Size(text + pads, text, labels + ended + pads)

    def _mask(self, index: int) -> Sequence[bool] | None:
        return None if self.loss_masks is None or index == len(self.sequences) else self.loss_masks[index]

    def example(self, index: int) -> Example:
        """Rows of one sequence, pads included, with labels shifted by one."""
        tokens = [int(token) for token in self.sequence(index)]
        text = len(tokens)
        marked = self._mask(index)
        mask = [True] * text if marked is None else [bool(m) for m in marked]
        pads, weight = self.pad_loss.positions(text)
        policy, more = self.policy, dict[str, Any]()
        if policy is not None:
            more = {"advantage": policy.each[index] if policy.each else policy.advantages[index]}
            more["old"] = policy.old[index] if policy.old else ()
            more["reference"] = policy.reference[index] if policy.reference else ()
        ended = 1.0 if pads or (self.pad_loss.kind != "masked" and text < self.pad_loss.length) else 0.0
        return Example(
            tokens=tokens + [self.pad_token] * len(pads),
            positions=[*range(text), *pads],
            targets=tokens[1:] + [self.pad_token] * (1 + len(pads)),  # the reference pads with the end-of-text token
            weights=[float(m) for m in mask[1:]] + [ended] + [weight] * len(pads),
            text=text,
            **more,
        )


Form = tuple[tuple[str, ...], ...]  # what an answer may be: netgain.engine.forms


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How an answer is drawn: up to ``max_new_tokens`` tokens, from a stream of this request's own (``seed``).

    ``temperature`` 0 takes the likeliest token; above 0, tokens are drawn from the smallest set whose probability
    reaches ``top_p``. ``stop`` are texts that end the answer; one of white space counts only behind the first visible
    character, for an empty line is no answer yet. Within a ``form`` only tokens are drawn that keep the text the
    beginning of one that it allows, and a whole one ends the answer.
    """

    max_new_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int = 0
    form: Form = ()

    def end(self, text: str) -> int:
        """Where the first stop string begins in an answer's text; -1 where the answer goes on."""
        visible = len(text) - len(text.lstrip())
        found = [text.find(stop, max(0, visible - len(stop) + 1)) for stop in self.stop]
        return min((at for at in found if at >= 0), default=-1)

    def __post_init__(self) -> None:
        self.validate()

    def validate(self) -> None:
        """Raise InputError for settings that no answer can be drawn by."""
        if self.max_new_tokens < 1:
            raise InputError(f"max_new_tokens {self.max_new_tokens}", "at least one token is needed")
        if not (isfinite(self.temperature) and self.temperature >= 0 and 0 < self.top_p <= 1):
            given = f"temperature {self.temperature}, top_p {self.top_p}"
            raise InputError(given, "they must be >= 0 and within (0, 1]")
        stop: object = self.stop
        if isinstance(stop, str) or not all(self.stop):
            raise InputError(f"stop {self.stop!r}", "must be a tuple of texts, none of them empty")


LocalKind = Literal["empty", "bad_prompt", "too_long", "bad_token", "no_labels", "not_finite", "out_of_memory"]
RemoteKind = Literal["unreachable", "busy", "server", "timeout", "malformed", "denied", "refused", "script", "unserved"]


@final
@dataclass(frozen=True, slots=True)
class Failure:
    """Why one job or request ended early, after ``step`` steps, tokens or attempts. The rest of its pack is unharmed.

    The remote kinds are those of models behind a network: not reached, not taken now, an error of the server, no answer
    in time, an answer that makes no sense, nobody who may ask this, a request that is not taken; a script's own
    process; and (``unserved``) any of these where a server generates for a local model.
    """

    kind: LocalKind | RemoteKind
    detail: str
    step: int


def check(job: InnerLoopJob, context: int, vocabulary: int) -> Failure | None:
    """What makes a job impossible before its first step, as data; ``context`` is the model's longest sequence."""
    if job.total_steps == 0:
        return Failure("empty", f"job {job.key!r} has no training steps", 0)
    for i, sequence in ((i, job.sequence(i)) for i in range(job.count)):
        longest = max(len(sequence), job.pad_loss.length if job.pad_loss.kind != "masked" else 0)
        if longest > context:
            return Failure("too_long", f"sequence {i} needs {longest} positions; the model has {context}", 0)
        if len(sequence) and not 0 <= min(sequence) <= max(sequence) < vocabulary:
            return Failure("bad_token", f"sequence {i} has a token outside 0..{vocabulary - 1}", 0)
        if not len(sequence) or not job.size(i).labelled:
            return Failure("no_labels", f"sequence {i} ({len(sequence)} tokens) has no label to learn from", 0)
    return None
