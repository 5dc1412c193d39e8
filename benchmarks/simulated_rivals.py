"""How the rival is chosen: simulated trials in which the true difference to the best conventional arm is known.

    python benchmarks/simulated_rivals.py

Accuracies of an arm and its rivals as seeds by problems: a problem's own difficulty, what an arm makes of a problem, a
run's luck, and three answers a problem. 72 questions on development problems choose one rival; the test problems choose
others (``netgain.analysis.matching.cross_fitted``), and the intersection-union test holds the arm against all
(``netgain.analysis.crossed.one_sided_p``). Where the arm is equal to the best rival, every time that it is called ahead
of all is an error. Written to ``results/simulated_rivals.json``.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from netgain.analysis import crossed, intervals, matching
from netgain.streams import stream

PROBLEMS, SEEDS, QUESTIONS, DEVELOPED = 48, 5, 3, 24
LUCK = 0.047  # of a run, as measured in a trial of three runs
TRIALS = 2_000
DESIGNS: dict[str, tuple[float, ...]] = {
    "1 equal rival": (0.0,),
    "5 equal rivals": (0.0,) * 5,
    "10 equal rivals": (0.0,) * 10,
    "one of 10 clearly best": (0.0, *(-0.25,) * 9),
    "two close, 5 points apart": (0.0, -0.05),
    "10 rivals, 2 points apart": tuple(-0.02 * step for step in range(10)),
    "one of 10 best by 5 points": (0.0, *(-0.05,) * 9),
}


@dataclass(frozen=True)
class Found:
    """Shares and means over trials; the true difference to the best rival is 0.

    ``ahead``: the intersection-union test at 2.5 % one-sided calls the arm ahead of all. ``chosen_ahead``: the interval
    over the rival chosen on development problems lies above zero. ``fitted_ahead``: the cross-fitted one does.
    ``covered``: it contains 0. The three biases are mean differences in points; above zero favours the arm.
    """

    design: str
    luck: float
    trials: int
    ahead: float
    chosen_ahead: float
    fitted_ahead: float
    covered: float
    chosen_bias: float
    fitted_bias: float
    strongest_bias: float


def simulate(design: str, luck: float = LUCK, trials: int = TRIALS, seed: int = 0) -> Found:
    """Trials in which the arm is as good as the best rival."""
    rng = stream(seed, "simulated-rivals", design, str(luck))
    rights = np.array([0.0, *DESIGNS[design]]) + 0.7
    weights = intervals.resample_weights(PROBLEMS, rng, matching.CHOICES)
    rows = [_trial(rights, luck, weights, rng) for _ in range(trials)]
    means = np.array(rows, dtype=np.float64).mean(axis=0)
    return Found(design, luck, trials, *(float(value) for value in means[:4]), *(100 * float(v) for v in means[4:]))


def _trial(rights: np.ndarray, luck: float, weights: np.ndarray, rng: np.random.Generator) -> tuple[float, ...]:
    values = _accuracies(rights, luck, SEEDS, PROBLEMS, rng)
    development = _accuracies(rights, luck, 1, DEVELOPED, rng).mean(axis=(1, 2))[1:]
    arm, rivals = values[0], values[1:]
    ps = [crossed.one_sided_p(arm - rival, weights, questions=QUESTIONS) for rival in rivals]
    chosen = arm - rivals[int(development.argmax())]
    over_chosen = crossed.estimate(chosen, weights, questions=QUESTIONS)
    fitted, _ = matching.cross_fitted(arm, rivals, [float(d) for d in development], rng, weights, QUESTIONS)
    strongest = min(float((arm - rival).mean()) for rival in rivals)
    return (
        max(ps) <= 0.025,
        over_chosen.low > 0,
        fitted.low > 0,
        fitted.low <= 0 <= fitted.high,
        over_chosen.value,
        fitted.value,
        strongest,
    )


def _accuracies(rights: np.ndarray, luck: float, seeds: int, problems: int, rng: np.random.Generator) -> np.ndarray:
    arms = len(rights)
    chance = rights[:, None, None] + rng.normal(0, 0.12, problems) + rng.normal(0, 0.06, (arms, 1, problems))
    chance = chance + rng.normal(0, luck, (arms, seeds, 1)) if luck else np.repeat(chance, seeds, axis=1)
    return np.asarray(rng.binomial(QUESTIONS, np.clip(chance, 0.02, 0.98)) / QUESTIONS)


def main() -> None:
    """Print the table and keep it."""
    found = [simulate(design, luck) for luck in (LUCK, 0.0) for design in DESIGNS]
    for row in found:
        print(
            f"{row.design:28} luck {100 * row.luck:3.1f}  ahead {row.ahead:.1%} (of the chosen {row.chosen_ahead:.1%}, "
            f"cross-fitted {row.fitted_ahead:.1%})  covered {row.covered:.1%}  bias: chosen {row.chosen_bias:+.2f}, "
            f"cross-fitted {row.fitted_bias:+.2f}, strongest {row.strongest_bias:+.2f}"
        )
    text = json.dumps([asdict(row) for row in found], indent=1) + "\n"
    (Path(__file__).parent / "results" / "simulated_rivals.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
