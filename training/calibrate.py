"""What the shipped model learns from a passage, from its own edits and from the oracle's statements, by style.

Usage: PYTHONPATH=src python training/calibrate.py [--model FOLDER] [--people 24] [--epochs 5 10] [--rates 1e-3 3e-3]

Each adaptation is one LoRA on one person; the figures are shares of right answers over never-seen people of a split,
then floating-point operations and seconds a person. The world is a fair test where the passage lies well above frozen,
the oracle above the passage, and where in the narrative style the passage gives less than half of the oracle's gain.
"""

import argparse
import re
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from netgain.domains.edits import sequences
from netgain.domains.people import People, PeopleSettings
from netgain.domains.people_world import ATTRIBUTES
from netgain.domains.problem import PLAIN_PROMPTS as PROMPTS
from netgain.domains.problem import Problem, Question
from netgain.metering.account import Account, Book
from netgain.methods.fitting import SEVEN
from netgain.model import Generate, InnerLoopJob, Train, load_model
from netgain.records.cost import Purpose

PIECE = re.compile(r"Question:[^\n]*\nAnswer:[^\n]*|[^\n.]+\.")


class Bench:
    """The model, an account, and what is measured with them."""

    def __init__(self, folder: Path, account: Account, asked: argparse.Namespace) -> None:
        self.model, self.account, self.asked = load_model(folder), account, asked

    def write(self, problems: Sequence[Problem], form: str, temperature: float = 1.0, seed: int = 0) -> list[str]:
        """A self-edit of each passage."""
        wanted = PROMPTS.formats[form]
        requests = [
            Generate(
                account=self.account.under(Purpose.PROPOSE),
                prompt=wanted.prompt(problem.material),
                max_new_tokens=wanted.max_new_tokens,
                temperature=temperature,
                seed=seed,
            )
            for problem in problems
        ]
        return [result.get().text for result in self.model.generate(requests)]

    def train(self, texts: Sequence[Sequence[str]], epochs: int, rate: float) -> tuple[list[Any], float, float]:
        """An adapter for each list of sequences; the mean operations and seconds. A budget goes before epochs."""
        started = time.perf_counter()
        requests = [self._request(f"{i}", lines, epochs, rate) for i, lines in enumerate(texts)]
        if self.asked.budget:
            once = [
                quote.flops or 1.0 for quote in self.model.quote([self._one_epoch(request) for request in requests])
            ]
            counts = [max(1, int(self.asked.budget / cost)) for cost in once]
            requests = [self._request(str(i), texts[i], count, rate) for i, count in enumerate(counts)]
        results = self.model.train(requests)
        flops = sum(result.cost.flops or 0.0 for result in results) / len(results)
        return [result.get().adapter for result in results], flops, (time.perf_counter() - started) / len(results)

    def _one_epoch(self, request: Train) -> Train:
        return replace(request, job=replace(request.job, epochs=1))

    def _request(self, key: str, lines: Sequence[str], epochs: int, rate: float) -> Train:
        job = InnerLoopJob(
            key=key,
            sequences=[self.model.tokenize(line) for line in lines],
            epochs=epochs,
            learning_rate=rate,
            seed=int(key),
            rank=self.asked.rank,
            alpha=2.0 * self.asked.rank,
            target_modules=tuple(self.asked.targets),
        )
        return Train(account=self.account.under(Purpose.ADAPT), job=job)

    def examine(self, asked: Sequence[tuple[str, Question, Any]]) -> dict[str, float]:
        """Shares of right answers by kind, of (prompt, question, adapter)."""
        requests = [
            Generate(
                account=self.account.under(Purpose.EVALUATE),
                prompt=prompt,
                adapter=adapter,
                max_new_tokens=PROMPTS.max_new_tokens,
                stop=PROMPTS.stop,
            )
            for prompt, _, adapter in asked
        ]
        domain, right = People(), defaultdict(list)
        for (_, question, _), result in zip(asked, self.model.generate(requests), strict=True):
            right[question.kind].append(domain.grade(question, result.get().text).correct)
        return {kind: sum(values) / len(values) for kind, values in right.items()}

    def closed(self, problems: Sequence[Problem], adapters: Sequence[Any]) -> dict[str, float]:
        """Without the passage."""
        return self.examine(
            [
                (PROMPTS.ask(question.text), question, adapter)
                for problem, adapter in zip(problems, adapters, strict=True)
                for question in problem.questions
            ]
        )

    def kept(self, domain: People, adapters: Sequence[Any]) -> dict[str, float]:
        """What is left of what the model could do before."""
        controls = domain.controls(8, 0)
        return self.examine([(PROMPTS.ask(q.text), q, adapter) for adapter in adapters for q in controls])


def quality(problems: Sequence[Problem], edits: Sequence[str]) -> dict[str, float]:
    """An edit on average: its pieces, those that state a fact, rightly or wrongly, and how many of nine facts it tells.

    A piece is a sentence, or a question with its answer.
    """
    found: Counter[str] = Counter()
    for problem, edit in zip(problems, edits, strict=True):
        truths = dict(zip(ATTRIBUTES, (q.answers[0] for q in problem.questions), strict=True))
        meanings = _meanings(problem.material.title)
        pieces = [piece.strip() for piece in PIECE.findall(edit)]
        said = [meanings[piece] for piece in pieces if piece in meanings]
        right = [name for name, value in said if value == truths[name]]
        found += Counter(pieces=len(pieces), right=len(right), wrong=len(said) - len(right), told=len(set(right)))
    return {name: round(found[name] / len(edits), 2) for name in ("pieces", "right", "wrong", "told")}


def _meanings(name: str) -> dict[str, tuple[str, str]]:
    """Every sentence, and every question with its answer, that states a fact of this person: (attribute, value)."""
    return {
        text: (key, value)
        for key, attribute in ATTRIBUTES.items()
        for value in attribute.values
        for text in (
            *(wording.format(name=name, value=value) for wording in (*attribute.statements, *attribute.reversals)),
            *(PROMPTS.answered.format(question=q.format(name=name), answer=value) for q in attribute.questions),
        )
    }


def show(*cells: object) -> None:
    """One line of the table."""
    print(*(f"{100 * c:6.1f}" if isinstance(c, float) else f"{c!s:34}" for c in cells), flush=True)


def compare(bench: Bench, style: str, asked: argparse.Namespace) -> None:
    """All writers in one style."""
    domain = People(PeopleSettings(style=style, implied=asked.implied, others=asked.others))  # type: ignore[arg-type]
    problems = domain.problems(asked.split, asked.people, asked.seed)
    nobody = [None] * len(problems)
    kinds = ("knowledge", "reasoning")
    shown = bench.examine([(PROMPTS.ask(q.text, (p.material,)), q, None) for p in problems for q in p.questions])
    frozen = bench.closed(problems, nobody)
    show(f"{style} frozen", *(frozen[kind] for kind in kinds), *bench.kept(domain, [None]).values())
    show(f"{style} in context", *(shown[kind] for kind in kinds))
    own = {form: bench.write(problems, form) for form in asked.forms}
    for form, edits in own.items():
        print(f"  {form}: an edit has", quality(problems, edits))
    writers = {"passage": [[PROMPTS.titled.format(title=p.title, text=p.text)] for p in (x.material for x in problems)]}
    for form, edits in own.items():
        cut = [
            sequences(p.material, edit, PROMPTS.formats[form], PROMPTS) for p, edit in zip(problems, edits, strict=True)
        ]
        writers[f"own {form}"] = [list(texts) or ["."] for texts in cut]
    writers |= {"oracle": [domain.oracle(p.material, 0).split("\n") for p in problems]}
    for rate in asked.rates:
        for epochs in asked.epochs:
            for name, texts in writers.items():
                adapters, flops, seconds = bench.train(texts, epochs, rate)
                got = bench.closed(problems, adapters)
                kept = bench.kept(domain, adapters[:6])
                cells = [*(got[kind] for kind in kinds), kept["seen"], kept["skill"]]
                show(f"{style} {name} {epochs}x {rate:g}", *cells, f"{flops:.3g} FLOPs {seconds:.2f} s")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("src/netgain/shipped/people"))
    parser.add_argument("--people", type=int, default=24)
    parser.add_argument("--split", default="development")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--styles", nargs="+", default=["plain", "narrative"])
    parser.add_argument("--forms", nargs="*", default=["implications"])
    parser.add_argument("--epochs", nargs="+", type=int, default=[10])
    parser.add_argument("--budget", type=float, default=0.0, help="operations of each training; epochs as they fit")
    parser.add_argument("--rates", nargs="+", type=float, default=[1e-3])
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--targets", nargs="+", default=list(SEVEN))
    parser.add_argument("--implied", type=float, default=PeopleSettings().implied)
    parser.add_argument("--others", type=float, default=PeopleSettings().others)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    with tempfile.TemporaryDirectory() as folder, Book.open(Path(folder) / "journal") as book:
        bench = Bench(asked.model, book.account("calibration", arm="calibration", seed=asked.seed), asked)
        print(f"{'':34}", *(f"{kind:>6}" for kind in ("know", "reason", "seen", "skill")))
        for style in asked.styles:
            compare(bench, style, asked)


if __name__ == "__main__":
    main()
