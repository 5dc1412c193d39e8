"""The statistics examined by simulation: do A/A trials reject 5 % of the time, do 95 % intervals cover 94 to 96 %?

Two arms answer the same questions; problems differ in difficulty and arms differ from problem to problem, so that
questions of one problem are not independent. The same trials are judged by netgain (clustered by problem) and by the
usual way that takes every question as independent; the last column is the ratio of their error rates.

    python benchmarks/simulated_trials.py [--trials 2000] [--json FILE]
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy import special, stats

from netgain.analysis import intervals
from netgain.streams import stream

DIFFICULTY, ARM_SPREAD, QUESTIONS = 1.2, 0.7, 5
WEIGHTS_KEPT_FOR = 20


@dataclass(frozen=True)
class Result:
    """Rates over all trials of one design; ``naive`` is the analysis that takes questions as independent."""

    problems: int
    effect: float
    trials: int
    rejected: float
    covered: float
    naive_rejected: float
    naive_covered: float


def true_difference(effect: float) -> float:
    """The population's mean difference for a shift of ``effect`` on the logit scale, by Gauss-Hermite integration."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    spread = np.hypot(DIFFICULTY, ARM_SPREAD)
    mean = lambda shift: float((special.expit(spread * nodes + shift) * weights).sum() / weights.sum())  # noqa: E731
    return mean(effect) - mean(0.0)


def simulate(problems: int, effect: float, trials: int, seed: int = 0) -> Result:
    """Run ``trials`` simulated comparisons of one design and count rejections and covered truths."""
    rng = stream(seed, "statistics", str(problems), str(effect))
    truth = true_difference(effect)
    counts = np.zeros(4)
    weights = np.empty((0, 0))
    for trial in range(trials):
        if trial % WEIGHTS_KEPT_FOR == 0:
            weights = intervals.resample_weights(problems, rng)
        difficulty = rng.normal(0, DIFFICULTY, size=(1, problems))
        ability = difficulty + rng.normal(0, ARM_SPREAD, size=(2, problems)) + np.array([[effect], [0.0]])
        answers = rng.random((2, problems, QUESTIONS)) < special.expit(ability)[:, :, None]
        counts += _judged(answers.astype(float), truth, weights, rng)
    rates = counts / trials
    return Result(problems, effect, trials, *(float(rate) for rate in rates))


def _judged(answers: np.ndarray, truth: float, weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    differences = answers[0].mean(axis=1) - answers[1].mean(axis=1)
    estimate = intervals.estimate(differences, weights)
    rejected = intervals.sign_flip_p(differences, rng) < 0.05
    single = (answers[0] - answers[1]).ravel()
    naive = stats.ttest_1samp(single, 0.0)
    interval = naive.confidence_interval()
    return np.array(
        [
            rejected,
            estimate.low <= truth <= estimate.high,
            naive.pvalue < 0.05,
            interval.low <= truth <= interval.high,
        ],
        dtype=float,
    )


def main() -> None:
    """Print the table, and write it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print("problems  effect  trials   A/A rejects  covers   naive rejects  naive covers   naive/netgain errors")
    results = []
    for problems in (12, 40, 200):
        for effect in (0.0, 0.4):
            found = simulate(problems, effect, options.trials)
            results.append(found)
            ratio = (1 - found.naive_covered) / max(1 - found.covered, 1e-9)
            aa = f"{found.rejected:.3f}" if effect == 0 else "  -  "
            naive = f"{found.naive_rejected:.3f}" if effect == 0 else "  -  "
            print(
                f"{problems:8d}  {effect:6.1f}  {found.trials:6d}   {aa:>11}  {found.covered:6.3f}   {naive:>13}  "
                f"{found.naive_covered:12.3f}   {ratio:20.1f}"
            )
    if options.json:
        options.json.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
