"""How fast is the inner loop? Train one adapter and answer 5 questions, against the published way of doing it.

Usage: python benchmarks/inner_loop.py --size 1M|8M|50M|135M|1B|7B [--rounds 3] [--dtype float32|bfloat16]
       [--device cpu|cuda] [--against-float32] [--json] [--full-reference]
       python benchmarks/inner_loop.py --data grids [--loops 16] [--rounds 3] [--json]

With ``--data grids`` the model is the shipped grid model and a loop trains on what SEAL's four groups of augmentation
make of a held-out task (at most 60 sequences, 2 epochs), then answers its question. The padded reference pads there to
the task's longest sequence, as SEAL's few-shot code does.

One process, one thread; on a GPU all figures are wall-clock. Every round runs, one after the other: the padded
reference (HF Trainer + PEFT, 2048 positions), the same Trainer without padding, our trainer on loops drawn from the
published lengths, HF generate for one question (times five), our decoder, and the probes of the machine's
matrix-product peak. One warm-up round is not counted; figures are medians over rounds. CPU-seconds come first,
wall-clock beside. Our time includes drawing initial weights, scheduling, the optimizer and writing each adapter in
PEFT's format. Before any speed, the gates are checked.
"""

import argparse
import gc
import json
import os
import random
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from gates import check_gates
from reference import PADDED, SIZES, Shape, Trained, answer_reference, build_model, synchronise, train_reference
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

import netgain
from netgain.domains.grids import Grids, GridsSettings
from netgain.engine.decoding import DecodeRequest
from netgain.engine.jobs import InnerLoopJob, Sampling
from netgain.engine.kernels import NativeOps, library
from netgain.engine.lora import save_adapter
from netgain.engine.planned import PlannedBackend
from netgain.engine.planned_decode import MultiLoraDecoder
from netgain.engine.trainer import MultiLoraTrainer

GRID_MODEL = Path(netgain.__file__).parent / "shipped" / "grids"
LENGTHS = Path(__file__).parent / "data" / "inner_loop_lengths.json"
STEPS, TOKENS = 87.32, 4227.6  # one loop of the published round: 65,490 updates and 3,170,730 tokens over 750 loops
ANSWERS, NEW, PROMPT, SHARED = 5, 64, 34, 17
RANK = 32
# loops trained at a time, epochs of each, rows of a pack, resident adapters, steps of the padded reference
PLAN = {
    "1M": (64, 10, 1024, 32, 3),
    "8M": (32, 5, 1536, 32, 2),
    "50M": (16, 2, 1024, 16, 1),
    "135M": (16, 1, 1024, 16, 1),
    "1B": (64, 1, 4096, 64, 3),
    "7B": (64, 1, 4096, 64, 3),
}
# ratio to the padded reference, ratio to the unpadded one, share of the floor; what is not set is only reported
GOALS = {"1M": (150, 9.0, 0.55), "8M": (120, 4.2, 0.75), "50M": (90, 3.0, 0.82), "135M": (60, 0.0, 0.85)}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass
class Clock:
    """Seconds per canonical loop, (CPU, wall), one entry per counted round."""

    held: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def add(self, name: str, cpu: float, wall: float) -> None:
        """Book one round's figure."""
        self.held.setdefault(name, []).append((cpu, wall))

    def cpu(self, name: str) -> float:
        """The median of the CPU figures."""
        return statistics.median(cpu for cpu, _ in self.held[name])

    def wall(self, name: str) -> float:
        """The median of the wall figures."""
        return statistics.median(wall for _, wall in self.held[name])


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """(CPU, wall) seconds of a call."""
    synchronise()
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    synchronise()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return (wall if torch.cuda.is_available() else cpu), wall


def gemm_peak(dtype: torch.dtype = torch.float32, device: str = "cpu") -> float:
    """The best of several large products, torch's and ours, in GFLOP/s of CPU time (on a GPU: of wall-clock)."""
    best, large = 0.0, (8192, 8192, 8192)
    shapes = ((1024, 1024, 1024), (1024, 640, 1920), (1024, 384, 128), (1536, 320, 1728), (512, 1536, 576))
    for m, k, n in shapes if device == "cpu" else (*shapes, large):
        x, w = (torch.randn(shape, dtype=dtype, device=device) for shape in ((m, k), (n, k)))
        out = torch.empty(m, n, dtype=dtype, device=device)
        runs = [lambda x=x, w=w, out=out: torch.mm(x, w.t(), out=out)]
        if device == "cpu" and library() is not None:
            ops = NativeOps(dtype)
            frozen = ops.freeze(w, None)
            runs.append(lambda ops=ops, frozen=frozen, x=x, out=out: ops.linear(frozen, x, out))
        for run in runs:
            run()
            repeats = max(1, int(1.2e10 / (2 * m * k * n)))
            for _ in range(3):
                cpu, _ = timed(lambda run=run, repeats=repeats: [run() for _ in range(repeats)])
                best = max(best, 2 * m * k * n * repeats / cpu / 1e9)
    return best


def useful_gflop(work: "Workload") -> tuple[float, float]:
    """Operations that one loop cannot do without, (training, answering): forward, input gradients, adapters.

    No weight gradients of the base, no pads, the head at labelled positions only, causal attention.
    """
    shape = work.shape
    body, head = shape.body, shape.head
    adapter = shape.layers * RANK * (3 * shape.hidden + shape.kv)  # of queries and values
    lengths = [n for loop in work.loops for n in loop["sequences"]]
    share = work.steps / len(lengths)
    positions, labelled = work.tokens, work.tokens - work.steps
    pairs = share * sum(n * (n + 1) / 2 for n in lengths)
    train = (
        4 * body * positions + 4 * head * labelled + 6 * adapter * positions + 12 * shape.layers * shape.hidden * pairs
    )
    own, shared, answers = work.answers * (work.prompt - work.shared + work.new - 1), work.shared, work.answers
    pairs = shared * (shared + 1) / 2 + answers * sum(range(shared + 1, work.prompt + work.new))
    answer = 2 * (body + adapter) * (shared + own) + 2 * head * answers * work.new
    answer += 4 * shape.layers * shape.hidden * pairs
    return train / 1e9, answer / 1e9


class Workload:
    """The loops to run: lengths as published, tokens random.

    A loop has on average ``steps`` and ``tokens``, and answers ``answers`` prompts of ``prompt`` tokens, of which the
    first ``shared`` are the same, in ``new`` tokens each; the reference pads to ``padded``.
    """

    steps, tokens, answers, new, prompt, shared, padded = STEPS, TOKENS, ANSWERS, NEW, PROMPT, SHARED, PADDED

    def __init__(self, size: str) -> None:
        self.size, self.shape, self.plan = size, SIZES[size], PLAN[size]
        self.vocabulary = self.shape.vocabulary
        self.loops: list[dict[str, Any]] = json.loads(LENGTHS.read_text(encoding="utf-8"))["loops"]

    def model(self, dtype: torch.dtype, device: str) -> Any:
        """The model that is trained."""
        return build_model(self.size, dtype, device)

    def typical_texts(self, seed: int) -> list[list[int]]:
        """The sequences of the loop nearest to the mean one."""
        return self.texts(self.typical(), seed)

    def texts(self, lengths: Sequence[int], seed: int) -> list[list[int]]:
        """Random sequences of these lengths."""
        rng = random.Random(seed)  # noqa: S311 (a workload, not a secret)
        return [[rng.randrange(2, self.vocabulary) for _ in range(n)] for n in lengths]

    def typical(self) -> list[int]:
        """The sequence lengths of the loop nearest to the mean one."""
        near = min(
            self.loops,
            key=lambda x: abs(len(x["sequences"]) - self.steps / 10) * 50 + abs(sum(x["sequences"]) - self.tokens / 10),
        )
        return list(near["sequences"])

    def jobs(self, count: int, epochs: int, seed: int) -> list[InnerLoopJob]:
        """Jobs on loops drawn evenly from the whole round."""
        rng = random.Random(seed)  # noqa: S311
        ranked = sorted(self.loops, key=lambda loop: sum(loop["sequences"]))
        drawn = [ranked[int((i + rng.random()) * len(ranked) / count)] for i in range(count)]
        rng.shuffle(drawn)
        return [
            InnerLoopJob(
                key=str(i),
                sequences=self.texts(loop["sequences"], seed + i),
                epochs=epochs,
                learning_rate=1e-3,
                seed=i,
                rank=RANK,
            )
            for i, loop in enumerate(drawn)
        ]


class GridWorkload(Workload):
    """What SEAL's augmentations make of held-out tasks, in the shipped grid model's own tokens."""

    answers, shared = 1, 0
    epochs, sequences = 2, 60

    def __init__(self, count: int) -> None:
        grids = Grids(GridsSettings(prediction="greedy", sequences=self.sequences))
        self.tokenizer = AutoTokenizer.from_pretrained(GRID_MODEL)
        problems = grids.problems("test", count, 1)
        made = [[self._ids(one.prompt + one.answer) for one in self._lessons(grids, problem)] for problem in problems]
        self.questions = [self._ids(problem.questions[0].text) for problem in problems]
        self.loops = [{"sequences": [len(text) for text in texts], "texts": texts} for texts in made]
        self.steps = self.epochs * statistics.mean(len(texts) for texts in made)
        self.tokens = self.epochs * statistics.mean(sum(map(len, texts)) for texts in made)
        self.prompt = round(statistics.mean(map(len, self.questions)))
        self.new = round(statistics.mean(len(self._ids(problem.questions[0].answers[0])) for problem in problems))
        config = LlamaConfig.from_pretrained(GRID_MODEL)
        heads, kv = config.num_attention_heads, config.num_key_value_heads
        sizes = (config.hidden_size, config.num_hidden_layers, config.vocab_size, config.intermediate_size)
        self.size, self.shape = "grids", Shape(*sizes, heads, kv, tied=config.tie_word_embeddings)
        self.plan, self.vocabulary = (count, self.epochs, 1024, min(count, 32), 3), self.shape.vocabulary
        self.padded = max(self.typical())

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text)["input_ids"])

    @staticmethod
    def _lessons(grids: Grids, problem: Any) -> Sequence[Any]:
        assert grids.few_shot is not None
        return grids.few_shot.lessons(problem.material, tuple(grids.few_shot.tools), 0)

    def typical(self) -> list[int]:
        """The lengths of the loop nearest to the mean one."""
        return list(self._typical()["sequences"])

    def _typical(self) -> dict[str, Any]:
        return min(self.loops, key=lambda one: abs(sum(one["sequences"]) * self.epochs - self.tokens))

    def typical_texts(self, seed: int) -> list[list[int]]:
        """Its sequences."""
        return list(self._typical()["texts"])

    def model(self, dtype: torch.dtype, device: str) -> Any:
        """The grid model that ships."""
        return LlamaForCausalLM.from_pretrained(GRID_MODEL, dtype=dtype).to(device).eval()

    def jobs(self, count: int, epochs: int, seed: int) -> list[InnerLoopJob]:
        """A job for each of the first tasks."""
        return [
            InnerLoopJob(
                key=str(i), sequences=loop["texts"], epochs=epochs, learning_rate=1e-3, seed=seed + i, rank=RANK
            )
            for i, loop in enumerate(self.loops[:count])
        ]


def run_ours(backend: PlannedBackend, work: Workload, seed: int, clock: Clock) -> None:
    """Train and export many loops, then answer; booked per canonical loop."""
    count, epochs, budget, resident, _ = work.plan
    jobs = work.jobs(count, epochs, seed)
    outcomes = []

    def train() -> None:
        with tempfile.TemporaryDirectory() as folder:
            for outcome in MultiLoraTrainer(backend, resident=resident, budget=budget).run(jobs):
                outcomes.append(outcome)
                if outcome.adapter is None:
                    raise SystemExit(f"job {outcome.key} failed: {outcome.failure}")
                save_adapter(outcome.adapter, Path(folder) / outcome.key)

    cpu, wall = timed(train)
    share = work.tokens / sum(outcome.work.real for outcome in outcomes)
    clock.add("ours_train", cpu * share, wall * share)
    adapters = [outcome.adapter for outcome in outcomes[:32] if outcome.adapter is not None]
    prompts = work.texts([work.prompt] * work.answers * len(adapters), seed)
    for i in range(0, len(prompts), work.answers):
        for prompt in prompts[i : i + work.answers]:
            prompt[: work.shared] = prompts[i][: work.shared]
    asked = [
        DecodeRequest(prompt=tuple(prompt), adapter=i // work.answers, sampling=Sampling(max_new_tokens=work.new))
        for i, prompt in enumerate(prompts)
    ]
    cpu, wall = timed(lambda: MultiLoraDecoder(backend, rows=len(adapters) * work.answers).generate(asked, adapters))
    clock.add("ours_answer", cpu / len(adapters), wall / len(adapters))


def run_references(model: Any, work: Workload, seed: int, clock: Clock) -> None:
    """Both references and HF generate; booked per canonical loop."""
    texts = work.typical_texts(seed)
    steps = work.plan[4]
    padded = train_reference(model, texts[: steps + 1], work.padded)
    model = padded.model.unload()
    clock.add("padded_train", *_loop(padded, 1, work.steps))
    epoch = train_reference(model, [*texts, *texts], None)
    clock.add("unpadded_train", *_loop(epoch, len(texts), work.steps))
    prompt = work.texts([work.prompt], seed)[0]
    cpu, wall = timed(lambda: answer_reference(epoch.model, prompt, work.new))
    clock.add("reference_answer", cpu * work.answers, wall * work.answers)
    epoch.model.unload()


def _loop(run: Trained, warm: int, steps: float) -> tuple[float, float]:
    """Seconds of a loop from the steps after ``warm`` ones: mean step times steps, plus what lies beside the steps."""
    cpu, wall = statistics.mean(run.step_cpu[warm:]), statistics.mean(run.step_wall[warm:])
    return cpu * steps + run.fixed_cpu, wall * steps + run.fixed_wall


def summary(clock: Clock, peaks: Sequence[float], work: Workload, gates: dict[str, float]) -> dict[str, Any]:
    """The figures that a reader wants, by the names that the JSON has."""
    size = work.size
    train, answer = useful_gflop(work)
    peak = statistics.median(peaks)
    floor = (train + answer) / peak
    result: dict[str, Any] = {"size": size, "rounds": len(peaks), "gates": gates, "gemm_peak_gflops": peak}
    for kind, pick in (("", clock.cpu), ("_wall", clock.wall)):
        ours = pick("ours_train") + pick("ours_answer")
        result[f"ratio_padded{kind}"] = (pick("padded_train") + pick("reference_answer")) / ours
        result[f"ratio_unpadded{kind}"] = (pick("unpadded_train") + pick("reference_answer")) / ours
        result[f"fraction_of_floor{kind}"] = floor / ours
        result[f"seconds_per_loop{kind}"] = {name: pick(name) for name in clock.held}
    result |= {"floor_seconds": floor, "useful_gflop": {"train": train, "answer": answer}}
    best_padded = (clock.cpu("padded_train") + clock.cpu("reference_answer")) / floor
    best_unpadded = (clock.cpu("unpadded_train") + clock.cpu("reference_answer")) / floor
    result["ceiling_here"] = {"padded": best_padded, "unpadded": best_unpadded}
    if size in GOALS:
        result["goals"] = dict(zip(("ratio_padded", "ratio_unpadded", "fraction_of_floor"), GOALS[size], strict=True))
    result["tokens_a_second"] = work.tokens / clock.wall("ours_train")
    result["share_of_peak"] = train / clock.cpu("ours_train") / peak
    result["suspicious"] = result["fraction_of_floor"] > 1.0
    return result


def full_reference(model: Any, work: Workload) -> dict[str, float]:
    """All steps of one padded loop, and what the extrapolation from a few of its steps would have said."""
    texts = work.texts(work.typical(), 7) * 10
    run = train_reference(model, texts, PADDED)
    run.model.unload()
    few = Trained(run.model, run.losses, run.step_cpu[:4], run.step_wall[:4], run.fixed_cpu, run.fixed_wall)
    said, _ = _loop(few, 1, len(texts))
    return {"steps": float(len(texts)), "cpu_seconds": sum(run.step_cpu) + run.fixed_cpu, "extrapolated": said}


def beside_float32(size: str, work: Workload, rounds: int) -> dict[str, Any]:
    """bfloat16 against our own float32 on the same jobs and weights, in turn; one job of at least 60 steps a round."""
    backends = {name: PlannedBackend(build_model(size).to(dtype)) for name, dtype in DTYPES.items()}
    seconds: dict[str, list[float]] = {name: [] for name in backends}
    answering: dict[str, list[float]] = {name: [] for name in backends}
    worst, differing, asked = 0.0, 0, 0
    for number in range(rounds + 1):
        jobs, losses, said = work.jobs(10, 1, number), [], []
        jobs = [replace(jobs[0], key="long", sequences=jobs[0].sequences[:8], epochs=10), *jobs[1:]]
        prompts = work.texts([PROMPT] * 10, number)
        for name, backend in backends.items():
            outcomes: list[Any] = []
            trainer, decoder = MultiLoraTrainer(backend, resident=10), MultiLoraDecoder(backend)
            cpu, _ = timed(partial(_exhaust, trainer, jobs, outcomes))
            seconds[name].append(cpu)
            by_key = {outcome.key: outcome for outcome in outcomes}
            losses.append([x for job in jobs for x in by_key[job.key].losses])
            requests = [
                DecodeRequest(prompt=tuple(prompt), adapter=i, sampling=Sampling(max_new_tokens=NEW))
                for i, prompt in enumerate(prompts)
            ]
            adapters = [by_key[job.key].adapter for job in jobs]
            cpu, _ = timed(partial(_answer, decoder, requests, adapters, said))
            answering[name].append(cpu)
        worst = max(worst, *(abs(a - b) for a, b in zip(*losses, strict=True)))
        asked += len(prompts)
        differing += sum(a.tokens != b.tokens for a, b in zip(*said, strict=True))
    exact, half = (statistics.median(seconds[name][1:] or seconds[name]) for name in DTYPES)
    answers = [statistics.median(answering[name][1:] or answering[name]) for name in DTYPES]
    return {
        "training_ratio": exact / half,
        "answering_ratio": answers[0] / answers[1],
        "max_loss_difference": worst,
        "answers_differing": f"{differing} of {asked} (random weights, {NEW} tokens each)",
    }


def _exhaust(trainer: MultiLoraTrainer, jobs: list[InnerLoopJob], into: list[Any]) -> None:
    into.extend(trainer.run(jobs))


def _answer(decoder: MultiLoraDecoder, requests: list[DecodeRequest], adapters: list[Any], into: list[Any]) -> None:
    into.append(decoder.generate(requests, adapters))


def main() -> None:
    """Gates, rounds, figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="1M")
    parser.add_argument("--data", choices=("passages", "grids"), default="passages")
    parser.add_argument("--loops", type=int, default=16, help="tasks that are trained at a time, of --data grids")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--against-float32", action="store_true", help="only bfloat16 beside our own float32")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--full-reference", action="store_true", help="also run one padded loop to its end")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if options.data == "grids" and (options.against_float32 or options.full_reference or options.loops < 1):
        parser.error("--data grids has --loops 1 or more, and neither --against-float32 nor --full-reference")
    work = Workload(options.size) if options.data == "passages" else GridWorkload(options.loops)
    clock, peaks = Clock(), list[float]()
    if options.against_float32:
        print(json.dumps(beside_float32(options.size, work, options.rounds), indent=2))
        return
    gates = check_gates(options.device)
    dtype = DTYPES[options.dtype]
    model = work.model(dtype, options.device)
    backend = PlannedBackend(model)
    gc.collect()
    gc.freeze()  # for all sides alike: the collector need not walk the imported libraries
    for number in range(options.rounds + 1):
        run_references(model, work, number, clock)
        run_ours(backend, work, 1000 * number, clock)
        peaks.append(gemm_peak(dtype, options.device))
        if number == 0 and options.rounds:  # the warm-up is not counted
            clock.held.clear()
            peaks.clear()
        print(f"round {number} of {options.rounds} done", file=sys.stderr)
    result = summary(clock, peaks, work, gates)
    result |= {"dtype": options.dtype, "device": hardware(options.device)}
    if options.full_reference:
        result["full_reference"] = full_reference(model, work)
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        for name, value in result.items():
            print(f"{name:24} {value}")


def hardware(device: str) -> str:
    """The name of the card, or of the processor."""
    if device == "cuda":
        return str(torch.cuda.get_device_name())
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "a CPU")


if __name__ == "__main__":
    main()
