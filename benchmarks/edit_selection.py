"""What adaptive selection is worth on SEAL's published rewards: the figures of docs/methods.md.

Re-played: three runs of 50 passages, 5 edits and 3 repeats each, one repeat held out to judge by. Simulated: rewards
with those runs' variances between edits and between repeats.

    python benchmarks/edit_selection.py [SEAL_FOLDER]     (SEAL's repository; default: what ships with netgain)
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from netgain import read_claim
from netgain.methods.selection import RELIABILITY, Rule, Tally, best, halving, uniform

Rewards = Sequence[Sequence[Sequence[float]]]  # [problem][edit][repeat]


def drive(rule: Rule, edits: int, evaluate: Callable[[int], float]) -> Tally:
    """Run a rule to its end on a function that evaluates an edit."""
    tally = Tally(edits)
    for stage in rule(tally):
        for edit in stage:
            tally.add(edit, evaluate(edit))
    return tally


def replay(rewards: Rewards, rule: Rule, rng: np.random.Generator, *, reliability: float | None = None) -> float:
    """The quality of what a rule chooses on recorded rewards: its mean on a held-out repeat.

    For every problem and every repeat held out in turn, an evaluation draws one of the edit's other repeats, without
    replacement while there are any and again from all of them after that. The mean over problems and held-out repeats.
    """
    chosen = [_held_out(edits, rule, rng, reliability, held) for edits in rewards for held in range(len(edits[0]))]
    return float(np.mean(chosen))


def _held_out(
    edits: Sequence[Sequence[float]], rule: Rule, rng: np.random.Generator, reliability: float | None, held: int
) -> float:
    order = rng.permutation(len(edits))  # so that being first among equals helps no edit
    pools = [[reward for repeat, reward in enumerate(edits[edit]) if repeat != held] for edit in order]
    waiting: list[list[float]] = [[] for _ in order]

    def evaluate(edit: int) -> float:
        if not waiting[edit]:
            waiting[edit] = [pools[edit][index] for index in rng.permutation(len(pools[edit]))]
        return waiting[edit].pop()

    return edits[order[best(drive(rule, len(edits), evaluate), reliability)]][held]


def spread(evaluations: int) -> Rule:
    """So many evaluations dealt out to the edits in turn, as many to each as that comes out."""

    def rule(tally: Tally):  # noqa: ANN202
        yield [index % len(tally) for index in range(evaluations)]

    return rule


def published(claim: Path | None) -> list[Rewards]:
    """The rewards of the published runs that have counts."""
    runs = [run for run in read_claim(claim).reward_runs if run.correct is not None and run.questions is not None]
    return [
        [
            [[right / asked for right in edit] for edit in problem]
            for problem, asked in zip(run.correct or (), run.questions or (), strict=True)
        ]
        for run in runs
    ]


def variances(rewards: Rewards) -> tuple[float, float]:
    """The variance between the edits of a problem, and between repeats of an edit, by one-way analysis of variance."""
    table = np.array(rewards)
    repeats = table.shape[2]
    within = float(table.var(axis=2, ddof=1).mean())
    between = float(table.mean(axis=2).var(axis=1, ddof=1).mean()) - within / repeats
    return max(0.0, between), within


def simulated(
    variance: tuple[float, float], edits: int, rule: Rule, reliability: float | None, rng: np.random.Generator, n: int
) -> float:
    """How far above a random edit a rule's choice is in truth, on average over ``n`` problems."""
    between, within = variance
    gains = []
    for _ in range(n):
        quality = rng.normal(size=edits) * np.sqrt(between)
        tally = drive(rule, edits, lambda edit, q=quality: float(q[edit] + rng.normal() * np.sqrt(within)))
        gains.append(quality[best(tally, reliability)])
    return float(np.mean(gains))


def main() -> None:
    """Print both tables, in percentage points above a random edit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    runs = published(parser.parse_args().folder)
    rng = np.random.default_rng(0)
    every = [problem for run in runs for problem in run]
    chance = float(np.mean([np.mean(problem) for problem in every]))
    for name, rule, reliability in (
        ("7 by halving", halving(7), RELIABILITY),
        ("7 dealt out", spread(7), None),
        ("7 dealt out, shrunk", spread(7), RELIABILITY),
    ):
        gain = np.mean([replay(every, rule, rng, reliability=reliability) for _ in range(20)]) - chance
        print(f"re-played, {name}: {100 * gain:+.1f}")
    for run in runs:
        between, within = variances(run)
        plain = simulated((between, within), 5, uniform(3), None, rng, 20_000)
        adaptive = simulated((between, within), 8, halving(15), RELIABILITY, rng, 20_000)
        print(
            f"reliability {between / (between + within):.2f}: simulated, 15 by halving over 8 edits"
            f" {100 * adaptive:+.1f}, 5 x 3 {100 * plain:+.1f}"
        )


if __name__ == "__main__":
    main()
