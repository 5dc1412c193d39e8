"""A meter for other people's training: charges any loop on a Hugging Face causal LM, step by step, as it happens.

::

    with netgain.meter(model, account):
        trainer.train()          # HF Trainer, TRL, or a loop of your own

What is charged, from the shapes of what the model is really given:

- every forward pass, padding included, over the full rectangle of its batch and its cached context
- the output head at the positions where it ran
- a backward pass for each forward pass that gets a gradient, down to the lowest trained weight (LoRA or full)
- with gradient checkpointing, the layers' second forward pass
- every optimizer step on weights of this model, as one update however many optimizers share it
- ``generate``, as one charge a call

A call is reserved before it runs, so an exhausted budget stops the loop, and settled when its end is noticed: when
every trained weight was stepped, at the next call, or when the meter is taken off. What a killed process had settled
stays spent, its open call is charged in full, and a resumed run on the same account adds to it. A loss, gradient or
step that is not finite is booked as a failure, whatever the loop shows for it.

Not seen: other models (put a meter on each), generation in other processes (vLLM), kernels that attend to less than the
rectangle (packed sequences without a mask are charged as one), second forward passes other than transformers' own.
"""

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Any, Self, final

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from netgain.engine.jobs import Work
from netgain.errors import InputError, OverrunError
from netgain.metering.account import Account, Reservation
from netgain.metering.shape import ModelShape
from netgain.model.boundaries import Boundaries, refuse_copy, require_eager
from netgain.model.calls import OPEN, UNSEEN, Call, CallPrices, Setup, causal_lm, describe, outermost, survey
from netgain.model.optimizers import Prices, Updates, elementwise, has_closure, is_skipped, step_flops, update_quote
from netgain.model.passes import (
    WRAPPED,
    decoder_of,
    generated,
    generation_bound,
    given_to,
    past_of,
    real_positions,
    require_known_inputs,
    virtual_tokens,
)
from netgain.model.selfcheck import check_meter
from netgain.records.cost import Cost

PROBED = 1 << 16  # larger trained weights are not looked at one by one for a gradient that is not finite
FRESH: dict[str, Any] = {"ended": False, "backwards": 0, "updates": 0, "update_flops": 0.0, "probes": []}
CHECKED = "the meter's self-check"
HEAD_UNSEEN = "the output head was not called as a module; it is charged at every position"


@final
@dataclass(slots=True, eq=False)
class _Generation:
    """A running ``generate``: its reservation and the passes so far."""

    reservation: Reservation
    setup: Setup
    started: float
    positions: int = 0
    context: int = 0
    heads: int = 0
    rows: int = 0  # of the first pass
    passes: int = 0

    def work(self) -> Work:
        """The passes so far. How many positions have text is known at the end."""
        return Work(positions=float(self.positions), context=float(self.context), head_positions=float(self.heads))


@final
class Meter:
    """Charges what happens to one model for as long as its ``with`` block lasts. See :func:`meter`."""

    __reduce__ = refuse_copy

    def __init__(
        self,
        model: nn.Module,
        account: Account,
        *,
        shape: ModelShape | None = None,
        check: bool = True,
        optimizer_flops: Prices | None = None,
        this_rank_only: bool = False,
    ) -> None:
        if not isinstance(account, Account):
            raise TypeError(
                f"account = {account!r}: a meter needs an Account; nothing is measured that nobody pays for"
            )
        self._outer, self._account = model, account
        self._boundaries = Boundaries(model, this_rank_only=this_rank_only)
        self._model: Any = causal_lm(model)
        self._top = outermost(model)
        self.shape = shape or ModelShape.from_config(self._model.config.to_dict())
        self._prices = CallPrices(self.shape, self._model, self._top)
        self._setup, self._seen = Setup(None, None), UNSEEN
        self._updates, self._optimizer_flops = Updates(model), dict(optimizer_flops or {})
        self._products: tuple[Reservation, Cost] | None = None
        self._pending: Call | None = None
        self._generation: _Generation | None = None
        self._asked: dict[str, Any] = {}
        self._depth = 0
        self._handles: list[Any] = []
        self._noted = False
        self._check, self._checked = check, set[bool]()
        self.last_trouble = ""  # why the newest call failed; empty where it did not

    def __enter__(self) -> Self:
        decoder, head = decoder_of(self._model), self._model.get_output_embeddings()
        self._handles += self._boundaries.open(self._account.book, self._outer, self._model, decoder, head)
        for top in dict.fromkeys((self._outer, self._model)):
            self._handles.append(top.register_forward_pre_hook(self._on_top, with_kwargs=True))
            self._handles.append(top.register_forward_hook(self._on_top_end, always_call=True))
        self._handles.append(decoder.register_forward_pre_hook(self._on_decoder, with_kwargs=True))
        self._handles.append(decoder.register_forward_hook(self._on_decoder_end))
        self._handles.append(head.register_forward_hook(self._on_head))
        self._handles.append(self._model.get_input_embeddings().register_forward_hook(self._on_embedding))
        self._handles.append(register_optimizer_step_pre_hook(self._on_step))
        self._handles.append(register_optimizer_step_post_hook(self._on_step_end))
        self._plain_generate = self._model.__dict__.get("generate")
        self._model.generate = self._metered_generate(self._model.generate)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._fail_products()
            self.flush(error)
            self._boundaries.explain(error)
        finally:
            self.remove()

    def remove(self) -> None:
        """Take the meter off the model; what is open stays open. Use the ``with`` block or :meth:`flush` before."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        if self._plain_generate is None:
            self._model.__dict__.pop("generate", None)
        else:
            self._model.generate = self._plain_generate

    # -- what the model is asked and does

    def _on_top(self, _: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        self._depth += 1
        self._asked = named

    def _on_top_end(self, _: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        self._depth -= 1
        call = self._pending
        if call is not None and isinstance(output, Mapping):
            loss = output.get("loss")
            call.loss = loss.detach() if isinstance(loss, Tensor) else None
        if self._depth == 0:
            self._asked = {}
            if call is not None and not torch.is_grad_enabled() and call.forwarded:
                self.flush()

    def _on_decoder(self, decoder: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        given = given_to(arguments, named)
        rows, columns = int(given.shape[0]), int(given.shape[1])
        past = past_of(decoder, arguments, named)
        if self._generation is not None:
            self._generation.rows = self._generation.rows or rows
            self._generation.passes += 1
            self._generation.positions += rows * columns
            self._generation.context += rows * columns * (past + columns)
            return
        self.flush()
        setup = self._current_setup()
        graded = torch.is_grad_enabled() and setup.trains
        require_known_inputs(arguments, named, trains=setup.trains, formula=setup.formula)
        self._updates.renew()
        real = real_positions(named.get("attention_mask"), rows, columns)
        call = Call(setup, rows, columns, past, real, time.perf_counter())
        call.graded, call.checkpointed = graded, graded and self._seen.checkpointed
        call.embedded = given if given.requires_grad else None
        self._note_asked(call, given.device)
        self._prices.choose(call, embedded=self._embedding_needs_gradient(call))
        quote = self._prices.quote(call)
        if graded:
            self._updates.passes += 1
            quote += update_quote(self._updates.flops_bound())
        call.reservation = self._account.reserve("train" if graded else "forward", quote)
        self._pending = call

    def _note_asked(self, call: Call, device: torch.device) -> None:
        """What the outermost call says of labels and head. ``fused_lm_head`` is TRL's way past the head as a module."""
        labels = self._asked.get("labels")
        if isinstance(labels, Tensor) and labels.dim() == 2:
            call.labels = (labels[:, 1:] != -100).sum()
        call.fused = bool(self._asked.get("fused_lm_head"))
        if call.fused:  # on a GPU it projects labelled positions only, elsewhere all but the last
            everywhere = float(call.rows * (call.columns - 1))
            call.heads = float(call.labels) if device.type == "cuda" and call.labels is not None else everywhere

    def _on_embedding(self, _: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> None:
        if self._pending is not None and self._generation is None and not self._pending.forwarded:
            self._pending.embedded = output

    def _embedding_needs_gradient(self, call: Call) -> bool:
        """As far as it can be known before the pass; a hook may change it."""
        if call.embedded is not None:
            return bool(call.embedded.requires_grad)
        return any(weight.requires_grad for weight in self._model.get_input_embeddings().parameters())

    def _on_decoder_end(self, _: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        call = self._pending
        if self._generation is not None or call is None:
            return
        call.forwarded = True
        hidden = output[0]
        if hidden.requires_grad and not call.setup.trains:
            raise InputError(
                "the hidden states", "need a gradient, though no weight of the metered model is trained", WRAPPED
            )
        if call.price is not None:
            self._prices.choose(call, embedded=self._embedding_needs_gradient(call))
        self._watch(call, hidden)

    def _watch(self, call: Call, output: Tensor) -> None:
        """Notice the backward pass through this output, once for each pass."""
        if output.requires_grad and not call.watched:
            call.watched = True
            output.register_hook(lambda gradient: self._on_gradient(call, gradient))  # type: ignore[no-untyped-call]

    def _on_head(self, _: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> None:
        positions = output.numel() // output.shape[-1]
        if self._generation is not None:
            self._generation.heads += positions
        elif self._pending is not None and self._pending.forwarded:
            self._pending.heads += positions
            self._watch(self._pending, output)  # where nothing below the head is trained

    def _on_gradient(self, call: Call, gradient: Tensor) -> None:
        """A backward pass through this call begins; one that was settled already is charged for it apart."""
        self._updates.backward_begins()
        if call.ended or call.backwards:
            self.flush()
            quote = self._prices.backward(call) + update_quote(self._updates.flops_bound())
            reservation = self._account.reserve("backward", quote)
            call = replace(call, late=True, started=time.perf_counter(), **FRESH)
            call.reservation = reservation
            self._pending = call
        call.probes = [*call.probes, gradient.detach().abs().amax()]
        call.backwards += 1

    # -- the optimizer

    def _on_step(self, optimizer: torch.optim.Optimizer, arguments: Any, named: Any) -> None:
        own = self._updates.weights_of(optimizer)
        if not own:
            return
        require_eager()
        self._updates.begin(optimizer)
        step_flops(optimizer, own, self._optimizer_flops)  # refuses what has no price, before it runs
        if has_closure(arguments, named):  # its passes, and with them the gradients, are yet to come
            return
        stepped = [weight for weight in own if weight.grad is not None]
        if not stepped:
            return
        self._updates.require_passes(stepped)
        self._reserve_products(optimizer, stepped)
        call = self._call_of_step(stepped)
        gradients = [weight.grad for weight in stepped if weight.grad is not None and weight.numel() <= PROBED]
        if gradients:
            call.probes.append(torch.nn.utils.get_total_norm(gradients, float("inf")))

    def _on_step_end(self, optimizer: torch.optim.Optimizer, arguments: Any, named: Any) -> None:
        stepped = [weight for weight in self._updates.weights_of(optimizer) if weight.grad is not None]
        if not stepped or not self._updates.end(optimizer):
            return
        if has_closure(arguments, named):
            self._reserve_products(optimizer, stepped)
        if self._products is not None:
            (reservation, cost), self._products = self._products, None
            self._end(reservation, cost, time.perf_counter(), "")  # the call has the seconds
        if is_skipped(optimizer):
            return
        call = self._call_of_step(stepped)
        call.updates += self._updates.add(stepped)
        call.update_flops += min(elementwise(stepped), step_flops(optimizer, stepped, self._optimizer_flops))
        if self._updates.complete:
            self.flush()

    def _call_of_step(self, stepped: list[nn.Parameter]) -> Call:
        """The call that a step is booked with: the open one, or one of its own."""
        if self._pending is not None and self._pending.reservation.operation == "forward":
            self.flush()
        if self._pending is None:
            setup = self._current_setup()
            reservation = self._account.reserve("update", update_quote(elementwise(stepped)))
            self._pending = Call(setup, 0, 0, 0, 0.0, time.perf_counter(), forwarded=True)
            self._pending.reservation = reservation
        return self._pending

    def _reserve_products(self, optimizer: torch.optim.Optimizer, stepped: list[nn.Parameter]) -> None:
        """A call's quote knows the weights and not the optimizer: what a step takes beyond it is a charge apart."""
        beyond = step_flops(optimizer, stepped, self._optimizer_flops) - elementwise(stepped)
        cost = replace(Cost.zero(), **OPEN, flops=max(0.0, beyond))
        if self._products is not None and self._products[1] == cost:
            return  # a step that calls its parent's
        self._fail_products()
        if beyond > 0:
            self._products = (self._account.reserve("update", cost), cost)

    def _fail_products(self) -> None:
        if self._products is not None:
            self._products[0].fail("the optimizer's step did not end")
            self._products = None

    # -- generation

    def _metered_generate(self, generate: Callable[..., Any]) -> Callable[..., Any]:
        def metered(*arguments: Any, **named: Any) -> Any:
            if self._generation is not None:  # generate calls itself for some strategies
                return generate(*arguments, **named)
            self.flush()
            setup, virtual = self._current_setup(), virtual_tokens(self._top)
            quote, lengths = generation_bound(arguments, named, self._model, virtual)
            rows, passes = quote.head_positions, quote.head_positions
            cost = self._prices.forward(setup, quote, rows=rows, passes=passes)
            running = _Generation(self._account.reserve("generate", cost), setup, time.perf_counter())
            self._generation = running
            try:
                output = generate(*arguments, **named)
            except BaseException as error:
                done = self._run_cost(running, running.work())
                self._end(running.reservation, done, running.started, f"{type(error).__name__}: {error}")
                raise
            finally:
                self._generation = None
            work = running.work() + generated(output, lengths, named, self._model.generation_config)
            self._end(running.reservation, self._run_cost(running, work), running.started, "")
            return output

        return metered

    def _run_cost(self, running: _Generation, work: Work) -> Cost:
        return self._prices.forward(running.setup, work, rows=running.rows, passes=running.passes)

    # -- prices

    def _current_setup(self) -> Setup:
        seen = survey(self._top)
        if seen != self._seen:
            self._setup, self._seen = describe(self._model, self.shape, self._top), seen
        self._require_true_prices()
        return self._setup

    def _require_true_prices(self) -> None:
        """Before a first charge with adapters, and before one without: prices and meter against the profiler."""
        lora = self._setup.adapter is not None
        if lora in self._checked:
            return
        self._checked.add(lora)
        checked: dict[str, Any] = {"skipped": "check=False"}
        if self._check:
            unchecked = partial(Meter, check=False, this_rank_only=self._boundaries.this_rank_only)
            checked = check_meter(self._model, self.shape, unchecked, lora=lora).statement()
        self._account.book.note(CHECKED, checked)

    # -- booking

    def flush(self, error: BaseException | None = None) -> None:
        """Book the call that is open, if any: as settled, or as failed where it is not finite or ``error`` ended it."""
        call, self._pending = self._pending, None
        if call is None:
            return
        call.ended = True
        if not call.forwarded:
            with contextlib.suppress(OverrunError):
                call.reservation.fail(error or "the forward pass did not end")
            return
        self._check_head(call)
        trouble = call.trouble() if call.backwards or call.update_flops else ""
        if error is not None:
            trouble = trouble or f"{type(error).__name__}: {error}"
        cost = self._prices.cost(call)
        self._end(call.reservation, cost, call.started, trouble)
        call.loss, call.embedded = None, None

    def _check_head(self, call: Call) -> None:
        if call.backwards and not call.heads:
            call.heads = float(call.rows * call.columns)
            if not self._noted:
                self._account.book.note(HEAD_UNSEEN)
                self._noted = True

    def _end(self, reservation: Reservation, cost: Cost, started: float, trouble: str) -> None:
        self.last_trouble = trouble
        cost = replace(cost, seconds=time.perf_counter() - started, joules=None, dollars=None)
        with contextlib.suppress(OverrunError):  # the row is marked
            if trouble:
                reservation.fail(trouble, cost)
            else:
                reservation.settle(cost)


def meter(
    model: nn.Module,
    account: Account,
    *,
    shape: ModelShape | None = None,
    check: bool = True,
    optimizer_flops: Prices | None = None,
    this_rank_only: bool = False,
) -> Meter:
    """A meter on ``model`` (a Hugging Face causal LM, or PEFT's wrapper of one), to be used in a ``with`` block.

    Everything that happens to the model inside is charged to ``account``, which has a purpose. Put it on when the model
    is complete: after PEFT or TRL have wrapped it. ``shape`` prices an architecture without price formulas. Before the
    first charge a toy of the same architecture holds the prices against torch's profiler; ``check`` False leaves that
    out, and the journal says so. ``optimizer_flops`` gives a price, in FLOPs of a step for each weight, to classes of
    optimizers that have none here. Compiled models are refused, and so is one rank of several unless ``this_rank_only``
    is given: then every rank needs a book and a meter of its own, and the book says which rank it holds.

    Raises TypeError without an account, InputError for a model that cannot be priced, and, inside the block, for work
    that cannot; BudgetExceeded in place of the call that the budget does not allow.
    """
    settings: dict[str, Any] = {"shape": shape, "check": check, "optimizer_flops": optimizer_flops}
    return Meter(model, account, **settings, this_rank_only=this_rank_only)
