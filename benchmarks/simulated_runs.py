"""The statistics of trials examined by simulation: several runs (seeds) of every arm, crossed with the same problems.

A run has luck of its own (a standard deviation on the logit scale, drawn for each arm and seed); problems differ in
difficulty, and arms differ from problem to problem, partly for good and partly in each run anew. Judged by netgain's
crossed interval, and by the bootstrap over problems of the mean over runs, which takes the runs' luck for no luck.

    python benchmarks/simulated_runs.py [--trials 4000] [--json FILE]
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy import special

from netgain.analysis import crossed, intervals
from netgain.streams import stream

DIFFICULTY, ARM_SPREAD, RUN_SPREAD, QUESTIONS = 1.2, 0.5, 0.5, 5
WEIGHTS_KEPT_FOR = 50
LUCK = {"none": 0.0, "some": 0.2, "large": 0.8}


@dataclass(frozen=True)
class Result:
    """Rates over all simulated trials of one design."""

    luck: str
    seeds: int
    problems: int
    effect: float
    trials: int
    rejected: float
    covered: float
    width: float
    bootstrap_covered: float


def true_difference(effect: float, luck: float) -> float:
    """The population's mean difference for a shift of ``effect`` on the logit scale, by Gauss-Hermite integration."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    spread = np.sqrt(DIFFICULTY**2 + ARM_SPREAD**2 + RUN_SPREAD**2 + luck**2)
    first, second = (
        float((special.expit(spread * nodes + shift) * weights).sum() / weights.sum()) for shift in (effect, 0.0)
    )
    return first - second


def simulate(luck: str, seeds: int, problems: int, effect: float, trials: int, seed: int = 0) -> Result:
    """Run ``trials`` simulated comparisons of one design; the effect is found where the interval excludes zero."""
    rng = stream(seed, "runs", luck, str(seeds), str(problems), str(effect))
    truth = true_difference(effect, LUCK[luck])
    counts = np.zeros(4)
    weights = np.empty((0, 0))
    for trial in range(trials):
        if trial % WEIGHTS_KEPT_FOR == 0:
            weights = intervals.resample_weights(problems, rng, 2000)
        values = _differences(LUCK[luck], seeds, problems, effect, rng)
        found, naive = crossed.estimate(values, weights), intervals.estimate(values.mean(axis=0), weights)
        counts += [
            found.excludes_zero,
            found.low <= truth <= found.high,
            found.high - found.low,
            naive.low <= truth <= naive.high,
        ]
    rejected, covered, width, bootstrap = (float(count) for count in counts / trials)
    return Result(luck, seeds, problems, effect, trials, rejected, covered, width, bootstrap)


def _differences(luck: float, seeds: int, problems: int, effect: float, rng: np.random.Generator) -> np.ndarray:
    ability = (
        rng.normal(0, DIFFICULTY, (1, 1, problems))
        + rng.normal(0, ARM_SPREAD, (2, 1, problems))
        + rng.normal(0, RUN_SPREAD, (2, seeds, problems))
        + rng.normal(0, luck, (2, seeds, 1))
        + np.array([effect, 0.0])[:, None, None]
    )
    right = rng.binomial(QUESTIONS, special.expit(ability)) / QUESTIONS
    return right[0] - right[1]


def main() -> None:
    """Print the table, and write it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=4000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print("luck    seeds  problems  effect   rejects  covers  width  covered by problems alone")
    results = []
    for luck in LUCK:
        for seeds in (3, 5):
            for problems in (24, 48):
                for effect in (0.0, 0.5):
                    found = simulate(luck, seeds, problems, effect, options.trials)
                    results.append(found)
                    print(
                        f"{luck:6s}  {seeds:5d}  {problems:8d}  {effect:6.1f}   {found.rejected:7.3f}  "
                        f"{found.covered:6.3f}  {found.width:5.3f}  {found.bootstrap_covered:6.3f}",
                        flush=True,
                    )
    if options.json:
        options.json.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
