"""Training: many adapters at once, each exactly as if it ran alone (MultiLoraTrainer), or all weights of one model."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Any, final

import torch
from torch import nn

from netgain.engine.backend import Backend
from netgain.engine.hooks import label_losses, longest_sequence
from netgain.engine.jobs import Failure, InnerLoopJob, Work, check
from netgain.engine.lora import Adapter, AdapterBank, Layout
from netgain.engine.ops import BETA1, BETA2, EPSILON, Factors
from netgain.engine.packs import Resident, SlotStep, choose_members, is_out_of_memory, lacking, pack_steps
from netgain.errors import InputError


@final
@dataclass(frozen=True, slots=True, eq=False)
class JobOutcome:
    """What became of one job: its adapter, or why there is none; the loss of each step; the work it really took.

    Training of all weights leaves no adapter. ``clipped`` is the share of clipped tokens in each step of a policy loss.
    """

    key: str
    adapter: Adapter | None
    losses: tuple[float, ...]
    work: Work
    failure: Failure | None
    clipped: tuple[float, ...] = ()


@final
class MultiLoraTrainer:
    """Trains adapters on one frozen model, up to ``resident`` at a time, in packs of up to ``budget`` rows.

    Each adapter has its own order, loss mean, clip, learning rate and bias corrections; nothing crosses slots. A loss
    or gradient that is not finite, or a step that does not fit into memory, ends that adapter's job and no other.
    """

    def __init__(self, backend: Backend, *, resident: int = 16, budget: int = 1024) -> None:
        if resident < 1:
            raise InputError("resident", f"{resident} adapters: at least one is needed")
        if budget < 1:
            raise InputError("budget", f"{budget} rows: a pack holds at least one")
        # Where a long row changes how all rows of a batch are turned, no job's steps may share one with another's.
        self.resident = resident if backend.switch is None else 1
        self._backend, self._budget = backend, budget

    def run(self, jobs: Iterable[InnerLoopJob], starts: Mapping[str, Adapter] | None = None) -> Iterator[JobOutcome]:
        """Train all jobs; outcomes come as they finish, impossible jobs first. Jobs of unlike adapters or losses run in
        turn. ``starts`` are adapters to go on from, by the key of their job.

        Raises InputError, before any work, where a target module fits no projection of the model.
        """
        waiting: dict[tuple[Layout, object], deque[InnerLoopJob]] = {}
        for job in jobs:
            failure = check(job, self._backend.context, self._backend.vocabulary)
            layout = self._backend.layout(job.target_modules, job.rank, job.alpha)
            if failure is not None:
                yield JobOutcome(job.key, None, (), Work(), failure)
            else:
                waiting.setdefault((layout, job.policy and job.policy.kind), deque()).append(job)
        # A bank has one layout, so jobs of unlike rank or targets cannot share a pack.
        try:
            for (layout, _), queue in waiting.items():
                yield from self._run_alike(layout, queue, starts or {})
        finally:
            self._backend.release()

    def _run_alike(
        self, layout: Layout, queue: deque[InnerLoopJob], starts: Mapping[str, Adapter]
    ) -> Iterator[JobOutcome]:
        slots = min(self.resident, len(queue))
        bank = AdapterBank(layout, slots, dtype=self._backend.bank_dtype, device=self._backend.device)
        running: list[Resident] = []
        arrivals = 0
        while queue or running:
            while queue and bank.available:
                job = queue.popleft()
                start = starts.get(job.key)
                slot = bank.alloc(job.seed) if start is None else bank.load(start)
                running.append(Resident(job, slot, arrivals, 0 if start is None else start.steps))
                arrivals += 1
            self._step(bank, choose_members(running, self._budget))
            for member in [member for member in running if member.failure or not member.remaining]:
                running.remove(member)
                steps = member.before + member.done if member.job.resumable else None
                adapter = None if member.failure else bank.adapter(member.slot, steps)
                bank.free(member.slot)
                losses, clipped = tuple(member.losses), tuple(member.clipped)
                yield JobOutcome(member.job.key, adapter, losses, member.work, member.failure, clipped)

    def _step(self, bank: AdapterBank, members: Sequence[Resident]) -> None:
        """One pack: one step of each member, booked; halved and tried again where memory runs out."""
        steps = [member.next for member in members]
        # Booked before it runs: a pack that runs out of memory is work too, and its halves are booked again.
        feet = deque(self._backend.footprint([extent for step in steps for extent in step.extents]))
        for member, step in zip(members, steps, strict=True):
            extents, own = step.extents, [feet.popleft() for _ in step.examples]
            positions = sum(foot.positions for foot in own)
            member.work += Work(
                real=sum(extent.keys for extent in extents),
                positions=positions,
                training=sum(extent.labelled for extent in extents),
                head_positions=sum(foot.head_positions for foot in own),
                context=sum(foot.context for foot in own),
            )
        try:
            pack = pack_steps(steps, bank.weights.dtype, bank.weights.device)
            losses = self._backend.gradients(pack, bank)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(members) == 1:
                (member,) = members
                detail = f"a step of {member.next.rows} rows does not fit ({lacking(error)})"
                member.failure = Failure("out_of_memory", detail, member.done)
                return
            # Nothing was updated yet, so each half starts from the weights that the whole started from.
            half = len(members) // 2
            self._step(bank, members[:half])
            self._step(bank, members[half:])
            return
        if pack.policy is not None:
            for member, share in zip(members, pack.policy.clipped.tolist(), strict=True):
                member.clipped.append(share)
        self._update(bank, members, losses)

    def _update(self, bank: AdapterBank, members: Sequence[Resident], losses: Sequence[float]) -> None:
        slots = [member.slot for member in members]
        norms = self._backend.ops.gradient_norms(bank, slots)
        sound: list[int] = []
        factors: list[Factors] = []
        for member, loss, norm in zip(members, losses, norms, strict=True):
            member.losses.append(loss)
            # A NaN stays in its own slot: gradients of different adapters are never summed.
            if not (isfinite(loss) and isfinite(norm)):
                member.failure = Failure("not_finite", f"loss {loss}, gradient norm {norm}", member.done)
                continue
            sound.append(member.slot)
            factors.append(
                step_factors(member.before + member.done + 1, member.learning_rate, norm, member.job.max_grad_norm)
            )
            member.work += Work(updates=1)
            member.advance()
        if sound:
            self._backend.ops.adamw(bank, sound, factors)


def step_factors(step: int, rate: float, norm: float, max_norm: float) -> Factors:
    """AdamW's factors at optimizer step ``step`` (from 1), with the gradient clipped as ``clip_grad_norm_`` does."""
    # The bias corrections are folded into step size and root, so that the kernel needs no step count of its own.
    return Factors(
        clip=min(1.0, max_norm / (norm + 1e-6)),  # 1e-6 as in torch: without it clipped steps differ in the last digits
        keep=1.0,
        rate=rate / (1 - BETA1**step),
        root=1 / sqrt(1 - BETA2**step),
    )


def train_fully(model: nn.Module, job: InnerLoopJob) -> JobOutcome:
    """Train all weights of ``model`` in place on a job's sequences (its rank, alpha and targets do not matter).

    After a failure the weights are those of the last sound step. Dropout stays off.
    """
    network: Any = model
    config: Any = network.config
    failure = check(job, longest_sequence(config), int(config.vocab_size))
    if failure is not None:
        return JobOutcome(job.key, None, (), Work(), failure)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=job.learning_rate, betas=(BETA1, BETA2), eps=EPSILON, weight_decay=0.0)
    model.eval()
    losses: list[float] = []
    work = Work()
    for done, indices in enumerate(job.steps()):
        step = SlotStep(0, tuple(job.example(i) for i in indices), job.policy)
        pack = pack_steps([step], weights[0].dtype, weights[0].device)
        work += _work(step)
        optimizer.zero_grad(set_to_none=True)
        for group in optimizer.param_groups:
            group["lr"] = job.rate(done)
        try:
            loss = label_losses(network, pack).sum()
            loss.backward()  # type: ignore[no-untyped-call]
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            failure = Failure("out_of_memory", f"a step of {step.rows} rows does not fit ({lacking(error)})", done)
            break
        losses.append(float(loss.detach()))
        norm = float(nn.utils.clip_grad_norm_(weights, job.max_grad_norm))
        if not (isfinite(losses[-1]) and isfinite(norm)):
            failure = Failure("not_finite", f"loss {losses[-1]}, gradient norm {norm}", done)
            break
        optimizer.step()
        work += Work(updates=1)
    optimizer.zero_grad(set_to_none=True)
    return JobOutcome(job.key, None, tuple(losses), work, failure)


def _work(step: SlotStep) -> Work:
    longest = max(len(example.tokens) for example in step.examples)
    labelled = sum(1 for example in step.examples for weight in example.weights if weight)
    return Work(
        real=sum(example.text for example in step.examples),
        positions=longest * len(step.examples),
        training=labelled,
        head_positions=longest * len(step.examples),
        context=longest * longest * len(step.examples),
    )
