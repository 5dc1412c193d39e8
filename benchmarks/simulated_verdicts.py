"""The statistics of a comparison examined by simulation: do intervals cover, and how often is nothing called something?

Two arms answer the same questions about the same problems, under several seeds. Problems differ in difficulty, arms
differ from problem to problem (partly for good, partly in each run anew), a run has luck of its own that shifts all of
its problems, and may collapse; all of that on the logit scale. The truth is the mean over problems and over runs.
Every simulated trial is judged by the functions that judge real ones (`netgain.analysis.crossed`).

Rates are also given apart for the third of trials whose runs differed least, for the middle and for the upper third, by
the luck that the analysis itself estimates: a rule may be right on average and wrong where it believes that runs agree.

    python benchmarks/simulated_verdicts.py [--trials 4000] [--only NAME] [--folder benchmarks/results]

Writes `simulated_verdicts.json` and `.md` after every design and continues where it was stopped.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from scipy import special

from netgain.analysis import crossed, intervals
from netgain.streams import stream

DIFFICULTY, ARM_SPREAD, RUN_SPREAD = 1.2, 0.5, 0.5
LUCK, MUCH = 0.28, 0.8  # logits: about 4.7 points a run, which records of trials show, and 13 points
LEVEL = {"middle": 0.8, "ceiling": 4.5, "floor": -4.0}  # accuracies of about 65, 98 and 4 %
LOST = {"partly": 1.5, "wholly": 6.0}  # logits that a collapsed run loses: about 26 and 60 points
THIRDS = ("low", "middle", "high")
CHUNK = 250


@dataclass(frozen=True)
class Design:
    """What is simulated; ``luck`` and ``collapse`` (a probability) are those of the two arms."""

    name: str
    seeds: int
    problems: int
    questions: int
    luck: tuple[float, float] = (0.0, 0.0)
    collapse: tuple[float, float] = (0.0, 0.0)
    lost: str = "partly"
    level: str = "middle"
    skewed: bool = False
    effect: float = 0.0


@dataclass(frozen=True)
class Rates:
    """Shares of trials: the interval holds the truth; the truth is rejected at 0.05 and at 0.001; mean width."""

    covered: float
    rejected: float
    rejected_001: float
    width: float


@dataclass(frozen=True)
class Row:
    """Of one design all trials, its thirds by estimated luck, and the coverage of an interval over problems alone."""

    design: Design
    trials: int
    truth: float
    all: Rates
    thirds: tuple[Rates, ...]
    problems_alone: float


BOTH, ONE = (LUCK, LUCK), (LUCK, 0.0)
FIFTH = (0.2, 0.0)
DESIGNS = (
    *(Design("no luck", *size) for size in ((3, 48, 6), (3, 24, 3), (5, 48, 6), (5, 12, 1), (8, 96, 20))),
    *(Design("luck in one arm", *size, luck=ONE) for size in ((3, 48, 6), (5, 48, 6), (5, 24, 1))),
    *(Design("luck in both arms", *size, luck=BOTH) for size in ((3, 12, 20), (3, 48, 6), (3, 96, 20))),
    *(Design("luck in both arms", *size, luck=BOTH) for size in ((5, 48, 6), (5, 96, 20), (8, 48, 6))),
    *(Design("luck in both arms, an effect", n, 48, 6, luck=BOTH, effect=1.0) for n in (3, 5)),
    *(Design("much luck in both arms", n, 48, 6, luck=(MUCH, MUCH)) for n in (3, 5, 8)),
    *(Design("skewed problems, luck", *size, luck=BOTH, skewed=True) for size in ((3, 24, 1), (5, 48, 3))),
    *(Design("ceiling, luck", *size, luck=BOTH, level="ceiling") for size in ((3, 24, 1), (3, 48, 3), (5, 24, 6))),
    Design("floor, luck", 5, 48, 6, luck=BOTH, level="floor"),
    Design("ceiling, an effect", 5, 48, 6, luck=ONE, level="ceiling", effect=-1.0),
    *(Design("one run in five collapses, both arms", n, 48, 6, BOTH, (0.2, 0.2)) for n in (3, 5)),
    *(Design("one run in five collapses, one arm", n, 48, 6, BOTH, FIFTH) for n in (3, 5, 8, 16)),
    *(Design("one run in five collapses wholly, one arm", n, 48, 6, BOTH, FIFTH, "wholly") for n in (5, 16)),
    *(Design("figures only: no luck", 1, *size) for size in ((12, 6), (48, 6), (200, 5))),
    *(Design("figures only: luck in both arms", n, 48, 6, luck=BOTH) for n in (1, 2)),
)


def abilities(design: Design, trials: int, rng: np.random.Generator) -> np.ndarray:
    """Logits of a right answer: trials by arms by seeds by problems."""
    seeds, problems = design.seeds, design.problems
    shape = (trials, 1, 1, problems)
    difficulty = 1.2 * (1 - rng.exponential(1.0, shape)) if design.skewed else rng.normal(0, DIFFICULTY, shape)
    luck = np.array(design.luck)[:, None, None] * rng.normal(0, 1, (trials, 2, seeds, 1))
    fallen = rng.random((trials, 2, seeds, 1)) < np.array(design.collapse)[:, None, None]
    found: np.ndarray = (
        LEVEL[design.level]
        + difficulty
        + rng.normal(0, ARM_SPREAD, (trials, 2, 1, problems))
        + rng.normal(0, RUN_SPREAD, (trials, 2, seeds, problems))
        + luck
        - LOST[design.lost] * fallen
        + np.array([design.effect, 0.0])[:, None, None]
    )
    return found


def true_difference(design: Design) -> float:
    """The mean difference of all runs on all problems; 0 where the arms are alike."""
    if not design.effect and len(set(design.luck)) == 1 and len(set(design.collapse)) == 1:
        return 0.0
    rng, many = stream(0, "truth", repr(design)), replace(design, seeds=20, problems=20)
    chances = [special.expit(abilities(many, 500, rng)).mean(axis=(0, 2, 3)) for _ in range(60)]
    return float(np.mean([arm - other for arm, other in chances]))


def trials_of(design: Design, trials: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Tables of differences, seeds by problems, each with weights to resample its problems by, where that is done."""
    rng = stream(seed, "verdicts", repr(design))
    for start in range(0, trials, CHUNK):
        chances = special.expit(abilities(design, min(CHUNK, trials - start), rng))
        right = rng.binomial(design.questions, chances) / design.questions
        resampled = design.seeds < crossed.FEWEST_RUNS
        weights = intervals.resample_weights(design.problems, rng) if resampled else np.empty((0, 0))
        for table in right[:, 0] - right[:, 1]:
            yield table, weights


def simulate(design: Design, trials: int, seed: int = 0) -> Row:
    """Judge so many simulated comparisons of one design."""
    truth, asked = true_difference(design), float(design.questions)
    around, student = (-1 - truth, 1 - truth), special.stdtrit(design.problems - 1, 0.975)
    results, lucks, alone = [], [], []
    for table, weights in trials_of(design, trials, seed):
        found = crossed.estimate(table, weights, questions=asked)
        p = crossed.p_value(table - truth, weights, around, asked)
        results.append([found.low <= truth <= found.high, p < 0.05, p < 0.001, found.high - found.low])
        if design.seeds > 1:
            squares = crossed.Squares.of(table)
            lucks.append(squares.between_seeds - squares.rest)
        margin = student * np.std(table.mean(axis=0), ddof=1) / np.sqrt(design.problems)
        alone.append(abs(found.value - truth) <= margin)
    judged = np.array(results, dtype=float)
    order = np.array_split(np.argsort(lucks, kind="stable"), 3) if lucks else []
    thirds = tuple(_rates(judged[index]) for index in order)
    return Row(design, trials, truth, _rates(judged), thirds, float(np.mean(alone)))


def _rates(judged: np.ndarray) -> Rates:
    return Rates(*(round(float(value), 5) for value in judged.mean(axis=0)))


def table(rows: list[Row]) -> str:
    """The rows as a page in Markdown, per cent and points."""
    head = (
        "| design | seeds | problems | questions | covered | luck low | middle | high "
        "| rejects | luck low | middle | high | p < 0.001 | luck low | width | over problems alone |"
    )
    lines = [head, "|---" + "|---:" * 15 + "|"]
    for row in rows:
        d = row.design
        covered = [100 * part.covered for part in (row.all, *row.thirds)]
        rejected = [100 * part.rejected for part in (row.all, *row.thirds)]
        tails = [100 * part.rejected_001 for part in (row.all, *row.thirds[:1])]
        cells = [
            *(f"{value:.1f}" for value in covered),
            *([""] * (4 - len(covered))),
            *(f"{value:.1f}" for value in rejected),
            *([""] * (4 - len(rejected))),
            *(f"{value:.2f}" for value in tails),
            *([""] * (2 - len(tails))),
            f"{100 * row.all.width:.1f}",
            f"{100 * row.problems_alone:.1f}",
        ]
        lines.append(f"| {d.name} | {d.seeds} | {d.problems} | {d.questions} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


INTRODUCTION = """# Intervals and tests, simulated

`python benchmarks/simulated_verdicts.py` draws {trials:,} trials of each design and has each judged by the functions
that judge real ones. *covered*: how often (per cent) the 95 % interval holds the true mean difference over problems and
runs; *rejects*: how often the true value is rejected at p < 0.05, and at p < 0.001; *luck low, middle, high*: the same
in the third of trials whose runs differed least, in the middle and in the upper third, as the analysis itself estimates
it; *width*: of the interval, points; *over problems alone*: the coverage of Student's interval over problems, which
takes the runs' luck for none. Luck is about 4.7 points a run, much luck 13; a collapsed run loses about 26 points, a
wholly collapsed one everything. Below three seeds an interval is over the problems of those runs, and no verdict is
told.

"""


def main() -> None:
    """Simulate what is not there yet, and write both files after every design."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=4000)
    parser.add_argument("--only", default="", help="designs whose name holds this")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    stored = options.folder / "simulated_verdicts.json"
    known = {json.dumps(row["design"]): row for row in json.loads(stored.read_text())} if stored.is_file() else {}
    rows: list[Row] = []
    for design in DESIGNS:
        saved = known.get(json.dumps(asdict(design)))
        if saved and saved["trials"] == options.trials:
            parts = {"all": Rates(**saved["all"]), "thirds": tuple(Rates(**part) for part in saved["thirds"])}
            rows.append(Row(**{**saved, **parts, "design": design}))
        elif options.only in design.name:
            rows.append(simulate(design, options.trials))
            print(table(rows[-1:]).splitlines()[-1], flush=True)
            stored.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    page = INTRODUCTION.format(trials=options.trials) + table(rows) + "\n"
    stored.with_suffix(".md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
