"""How many workers a trial gets, what each of them holds in memory, and how long they take together.

A worker's memory is that of the arm that holds most: its trainings side by side, the adapters that wait for their exam,
the models that an outer loop merges.
"""

import heapq
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np

from netgain import model as door
from netgain.engine.jobs import PLANNED, ROWS
from netgain.errors import InputError, MissingExtraError
from netgain.exam.drift import WINDOW
from netgain.metering.estimate import (
    BYTES,
    TOKEN,
    Device,
    Load,
    Memory,
    Pace,
    find_device,
    generation_estimate,
    gigabytes,
    pace_of,
    peak_memory,
    shape_of,
    training_estimate,
)
from netgain.metering.price import Full, Lora, Training
from netgain.metering.shape import ModelShape
from netgain.methods.fitting import Outer
from netgain.methods.gradient_loops import EditGradientSettings
from netgain.methods.method import Learning
from netgain.methods.seal import LoopSettings
from netgain.methods.synthetic import SyntheticSettings
from netgain.records.claim import UNTRAINED, Role
from netgain.records.cost import Cost, Purpose, known_total
from netgain.strict_json import parse_json
from netgain.trials.calibration import (
    Machine,
    Sizes,
    calibrate,
    find_machine,
    is_here,
    known_gpu,
)
from netgain.trials.resolve import Trial
from netgain.trials.resolved_arm import ResolvedArm
from netgain.trials.task_costs import Lengths, inner_of, known_amount, trained_by, training_of
from netgain.trials.tasks import WIDTH, Task, deployments, groups, learn_limit, levels, tasks

Calibrate = Callable[..., tuple[Pace, Memory] | None]
Held = tuple[Training | None, Load]
CPU_SHARE = 0.6  # of the speed of large matrix products: what packs of inner loops reach (NOTEBOOK.md)


def most_workers(machine: Machine, memory: float, wanted: int | None, count: int, beside: float = 0.0) -> int:
    """How many workers of ``memory`` bytes fit the machine, up to those ``wanted`` (None: one a core) and the number of
    tasks; at least one. ``beside`` bytes are needed once."""
    fit = int((machine.free - beside) // memory) if memory else machine.cores
    return max(1, min(wanted or machine.cores, count, fit))


def sizes_of(trial: Trial, lengths: Mapping[str, Lengths]) -> Sizes:
    """What a calibration tries: the adapters that most arms train, on texts and questions as long as the domains'."""
    adapters = [how for arm in _trained(trial) if isinstance(how := training_of(arm), Lora)]
    common = max(adapters, key=adapters.count, default=Lora(32, ("q_proj", "v_proj")))
    of = list(lengths.values())
    passage, question = (sum(values) / len(of) for values in zip(*((x.passage, x.question) for x in of), strict=True))
    asked = sum(x.asked for x in of) / len(of) * _programs(trial)
    return Sizes(
        rank=common.rank,
        targets=common.targets,
        passage=_rounded(passage),
        jobs=min(16, _programs(trial)),
        question=_rounded(question),
        asked=int(min(ROWS, asked)),
        new=round(max(x.longest for x in of)),
    )


def _rounded(length: float) -> int:
    """To eighths of a power of two, so that like domains share a calibration."""
    size = 8
    while size * 1.125 < length:
        size = max(size + 1, round(size * 1.125))
    return size


def calibrated(
    trial: Trial, machine: Machine, workers: int, lengths: Mapping[str, Lengths], how: Calibrate = calibrate
) -> tuple[Pace, Memory] | None:
    """A worker's pace and memory with the trial's model on this machine; None where its weights are not at hand."""
    try:
        folder = door.weights_folder(trial.model)
    except MissingExtraError:
        return None
    if folder is None:
        return None
    spec = trial.spec
    return how(folder, spec.dtype, spec.attention, machine, workers, sizes_of(trial, lengths))


def _trained(trial: Trial) -> list[ResolvedArm]:
    return [arm for arm in trial.arms.values() if arm.method.role not in UNTRAINED]


def _programs(trial: Trial) -> int:
    """How many adaptations are under way at the same time."""
    return min(WIDTH, groups(trial.spec, trial.spec.problems.test))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Staff:
    """Who would do the work: the device's name, how many workers, the pace and the memory of each, what is free."""

    name: str
    workers: int
    pace: Pace
    memory: float
    free: float
    warnings: tuple[str, ...] = ()


def staffed(
    trial: Trial,
    device: str | None,
    shape: ModelShape,
    lengths: Mapping[str, Lengths],
    jobs: int | None,
    calibrate: Calibrate | None,
) -> Staff:
    """The workers on a device by name (see :func:`netgain.trials.plan.make_plan`): as many as fit its memory."""
    count, weight = len(tasks(trial.spec)), BYTES[trial.spec.dtype]
    if not is_here(device):
        chosen = find_device(device or "")
        guess = Memory.guessed(shape, weight_bytes=weight, planned=False)
        memory = worker_memory(trial, shape, lengths, guess, cpu=False)
        pace = pace_of(chosen, shape, weight_bytes=weight)
        pace = replace(pace, source=f"{chosen.source}; {chosen.utilisation:.0%} of its peak")
        return Staff(name=chosen.name, workers=1, pace=pace, memory=memory, free=chosen.memory)
    machine = find_machine(device or "auto")
    cpu = machine.kind == "cpu"
    guess = Memory.guessed(shape, weight_bytes=weight, planned=cpu and is_planned(shape))
    memory = worker_memory(trial, shape, lengths, guess, cpu=cpu)
    workers = most_workers(machine, memory, jobs, count)
    found = None if calibrate is None else calibrated(trial, machine, workers, lengths, calibrate)
    if found is not None:
        memory = worker_memory(trial, shape, lengths, found[1], cpu=cpu)
    sheet = this_cpu() if cpu else known_gpu(machine.name)
    pace = found[0] if found else pace_of(sheet, shape, weight_bytes=weight)
    fitting = most_workers(machine, memory, jobs, count)
    return Staff(
        name=machine.name,
        workers=fitting,
        pace=pace,
        memory=memory,
        free=machine.free,
        warnings=_tight(memory, fitting, most_workers(machine, 0.0, jobs, count), machine.free),
    )


def _tight(memory: float, workers: int, wanted: int, free: float) -> tuple[str, ...]:
    """A warning where fewer workers fit than were wanted, or not even one."""
    each, left = gigabytes(memory), f"{gigabytes(free)} are free"
    if memory > free:
        return (
            f"memory: one worker takes about {each}, and {left}: fewer problems, a smaller rank or dtype: bfloat16",
        )
    if workers < wanted:
        return (f"memory: {wanted} workers take about {gigabytes(wanted * memory)}, and {left}: {workers} will run",)
    return ()


def this_cpu() -> Device:
    """This machine, its speed measured on a product of two matrices."""
    left = np.ones((768, 768), dtype=np.float32)
    _ = left @ left
    started = time.perf_counter()
    for _ in range(4):
        _ = left @ left
    flops = 4 * 2 * 768.0**3 / max(1e-9, time.perf_counter() - started)
    source = "measured now on a matrix product"
    return Device("this CPU", flops, 1e10, 1e12, source, utilisation=CPU_SHARE)


# -- memory


def worker_memory(
    trial: Trial, shape: ModelShape, lengths: Mapping[str, Lengths], memory: Memory, *, cpu: bool = True
) -> float:
    """Bytes that one worker holds at its fullest, whichever task it is given; a teacher and a judge are in it."""
    others = [_other(trial, fields, cpu) for fields in (trial.spec.teacher, trial.spec.judge)]
    beside = [found for found in others if found is not None]
    held = replace(memory, base=memory.base + sum(other.copy + TOKEN * of.vocabulary for other, of in beside))
    own = (
        peak_memory(held, shape, training, load)
        for domain in lengths.values()
        for arm in trial.arms.values()
        for training, load in _loads(trial, arm, shape, domain)
    )
    writing = (
        peak_memory(replace(other, base=held.base), of, None, _writing(trial, domain))
        for domain in lengths.values()
        for other, of in beside
    )
    return max(*own, *writing)


def _other(trial: Trial, fields: Any, cpu: bool) -> tuple[Memory, ModelShape] | None:
    """What a teacher or a judge in this process holds, and its shape; None for one that is elsewhere, is nobody, or of
    which nothing is known."""
    if not isinstance(fields, Mapping) or "url" in fields or "model" not in fields:
        return None
    try:
        shape = shape_of(trial.located(str(fields["model"])))
    except InputError:
        return None
    width = BYTES.get(str(fields.get("dtype", "float32")), 4)
    return Memory.guessed(shape, weight_bytes=width, planned=cpu and is_planned(shape)), shape


def is_planned(shape: ModelShape) -> bool:
    """Whether the engine trains and answers by its own plan on a CPU, by the ``config.json`` that the shape is from;
    taken for granted where that is not at hand."""
    try:
        return parse_json(Path(shape.source).read_text(encoding="utf-8"))["model_type"] in PLANNED
    except (OSError, ValueError, KeyError, TypeError):
        return True


def _writing(trial: Trial, lengths: Lengths) -> Load:
    """What another model than the trial's is asked for at once: a text about every passage."""
    asked = _programs(trial) * trial.spec.problems.passages
    return Load(jobs=0, length=0, asked=asked, prompt=lengths.asking, new=lengths.edit, adapters=0)


def _loads(
    trial: Trial, arm: ResolvedArm, shape: ModelShape, lengths: Lengths
) -> list[tuple[Lora | Full | None, Load]]:
    """What an arm's worker has in hand: at the exams, while it writes, and in an outer loop."""
    settings, programs = arm.settings, _programs(trial)
    passages, inner = trial.spec.problems.passages, inner_of(settings)
    prompt = lengths.reading if arm.method.role is Role.IN_CONTEXT else lengths.question
    controls = (lengths.controls or 0.0) * lengths.control_prompts
    asked = lengths.asked * passages
    questions = asked + controls  # that an adapter is asked
    prompt = (asked * prompt + controls * lengths.control) / max(1.0, questions)
    exam = Load(
        jobs=programs,
        length=min(inner.max_length, lengths.passage) * inner.batch_size,
        asked=int(programs * questions),
        prompt=prompt,
        new=lengths.longest,
        adapters=programs,
        per_adapter=questions,
    )
    if arm.method.role in UNTRAINED:
        return [(None, replace(exam, jobs=0, adapters=0))]
    training = trained_by(inner)
    if isinstance(training, Full):
        return [(training, replace(exam, adapters=0, copies=programs))]
    copies = _copies(trial, arm)
    exam = replace(exam, copies=copies)
    scored = replace(exam, jobs=0, scored=True, prompt=lengths.control, new=lengths.longest)
    found: list[Held] = [(training, exam)]
    if trial.spec.exam.drift:
        drift = trial.spec.exam.drift
        found.append((training, replace(scored, asked=programs * drift, per_adapter=drift)))
    if lengths.text:
        windows = -(-lengths.text // WINDOW)
        text = replace(scored, asked=int(programs * windows), per_adapter=windows)
        found.append((training, replace(text, prompt=1.0, new=min(WINDOW, lengths.text))))
    if isinstance(settings, SyntheticSettings):
        asked = programs * passages * settings.edits
        writing = replace(exam, jobs=0, asked=asked, prompt=lengths.asking, new=lengths.edit, adapters=0)
        found.append((training, writing))
        if isinstance(settings, EditGradientSettings):  # which scores what it drew
            found.append((None, replace(writing, asked=ROWS, scored=True)))
    if isinstance(settings, Outer):
        step = settings.outer_batch * (lengths.asking + lengths.edit)
        outer = Lora(settings.outer_rank, settings.outer_modules)
        found.append((outer, replace(exam, jobs=1, length=step, asked=0, adapters=1)))
    if isinstance(settings, LoopSettings):
        trained = settings.candidates * _contexts(trial, arm, settings, shape, lengths)
        found.append((training, replace(exam, jobs=trained, asked=int(trained * lengths.asked), adapters=trained)))
    return found


def _copies(trial: Trial, arm: ResolvedArm) -> int:
    """Models beside the first: what was learned, the round before it, and what the stream waits for."""
    if not isinstance(arm.settings, Learning):
        return 0
    rounds = arm.settings.rounds if isinstance(arm.settings, LoopSettings) else 1
    return 1 + (rounds > 1) + (len(trial.spec.budget.ladder) > 1)


def _contexts(trial: Trial, arm: ResolvedArm, settings: LoopSettings, shape: ModelShape, lengths: Lengths) -> int:
    """About how many contexts a round takes up, at the level and the number of deployments that invest most."""
    currency = trial.spec.budget.currency
    price = known_amount(context_cost(settings, shape, lengths), currency)
    most = max(
        known_amount(learn_limit(trial.spec, level, settings.split, deployments(trial.spec, task)), currency)
        for task in tasks(trial.spec)
        if task.arm == arm.name and task.stage == "run"
        for level in levels(trial.spec, task)
    )
    paid = int(most / settings.rounds // price) if price else 1
    return max(1, min(paid, settings.contexts or paid))


def context_cost(settings: LoopSettings, shape: ModelShape, lengths: Lengths) -> Cost:
    """About what one context of a round takes: its edits, each trained on and examined."""
    edits = generation_estimate(shape, round(lengths.asking), round(lengths.edit), count=settings.candidates)
    inner = settings.reward_training()
    beside = (settings.with_passage + settings.sentences) * [round(lengths.passage)]
    texts = [round(lengths.edit), *beside]
    trained = training_estimate(
        shape, texts, training=Lora(inner.rank, inner.target_modules), epochs=settings.reward_epochs
    )
    exam = generation_estimate(shape, round(lengths.question), max(1, round(lengths.answer)))
    return edits + settings.candidates * settings.repeats * (trained + lengths.asked * exam)


# -- time


def makespan(seconds: Mapping[Task, float], workers: int, load: float = 0.0) -> float:
    """The clock's seconds until all tasks are done by so many workers, each of which begins after ``load``.

    Tasks begin in their order, as soon as a worker is free and the tuning that they wait for is done.
    """
    free = [load] * max(1, workers)
    ended: dict[Task, float] = {}
    waiting = list(seconds)
    while waiting:
        now = heapq.heappop(free)
        task = next((one for one in waiting if _begins(one, ended, seconds, now)), None)
        if task is None:  # until the next worker has ended
            heapq.heappush(free, min((x for x in [*free, *ended.values()] if x > now), default=now + 1.0))
            continue
        waiting.remove(task)
        ended[task] = now + seconds[task]
        heapq.heappush(free, ended[task])
    return max(ended.values(), default=load)


def _begins(task: Task, ended: Mapping[Task, float], tasks_known: Mapping[Task, float], now: float) -> bool:
    before = task.tuning
    return before is None or before not in tasks_known or ended.get(before, float("inf")) <= now


def seconds_of(costs: Mapping[Task, Mapping[Purpose, Cost]]) -> dict[Task, float]:
    """The device seconds of each task, as far as they are known."""
    return {task: known_total(parts.values())[0].seconds or 0.0 for task, parts in costs.items()}
