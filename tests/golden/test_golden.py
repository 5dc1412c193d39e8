"""The verdicts on SEAL's published results, the demo and the full-size run stay what they were, figure by figure."""

import json
import lzma
import math
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from netgain.analysis.judge import judge
from netgain.analysis.verdict import Verdict
from netgain.audit.audit import audit, read_claim
from netgain.records.samples import read_rows
from netgain.trials.store import LOCK, SAMPLES, Store
from netgain.trials.trial_claim import claim_of
from tests.golden.figures import FOLDER, Figure, figures, read

ROOT = FOLDER.parent.parent
TRIALS = {"demo": FOLDER / "demo", "people-narrative": ROOT / "results" / "people-narrative"}
NEAR = 1e-12
# What was changed on purpose since the golden figures were written: (verdict, figures, reason). Patterns as in fnmatch.
PUBLISHED_IS_A_RUN = "a published arm is a run of one seed, so what is known of runs is given for it as well"
COUNTED = "a trial's parts name the number of questions that they were measured on"
NAMED_CHANGES: tuple[tuple[str, str, str], ...] = (
    ("seal", "comparisons/*/n_seeds", PUBLISHED_IS_A_RUN),
    ("seal", "decomposition/*/n_seeds", PUBLISHED_IS_A_RUN),
    ("seal", "arms/*/by_seed/0", PUBLISHED_IS_A_RUN),
    ("seal", "stability/*/accuracy*", PUBLISHED_IS_A_RUN),
    ("seal", "stability/*/change*", PUBLISHED_IS_A_RUN),
    ("seal", "decomposition/*/n_problems", "a gap without a rival names the problems that it was measured on"),
    ("seal", "decomposition/*/n_questions", "a gap without a rival names the questions that it was measured on"),
    ("demo", "decomposition/*/n_questions", COUNTED),
    (
        "people-narrative",
        "decomposition/*/n_questions",
        COUNTED,
    ),
    ("demo", "arms/*/frozen*/frozen_accuracy", "the frozen model is not held against itself"),
    ("people-narrative", "arms/*/frozen*/frozen_accuracy", "the frozen model is not held against itself"),
    ("demo", "arms/*/undominated", "said in every currency that a trial is matched in, not in four of six"),
    ("people-narrative", "arms/*/undominated", "said in every currency that a trial is matched in, not in four of six"),
    ("demo", "decomposition/*/dearer", "a rival whose whole ladder cost more is named, as in published claims"),
)


def rederived(folder: Path, into: Path) -> Verdict:
    """The verdict on a run from its committed records."""
    (into / LOCK).write_bytes((folder / LOCK).read_bytes())
    (into / SAMPLES).write_bytes(lzma.decompress((folder / f"{SAMPLES}.xz").read_bytes()))
    spec, roles = Store(into).asked()
    return judge(claim_of(spec, read_rows(into / SAMPLES), roles), seed=spec.seed)


@cache
def today(name: str, base: Path) -> dict[str, Figure]:
    """The figures of a verdict as the code gives them today."""
    found = rederived(TRIALS[name], base) if name in TRIALS else audit(read_claim())
    return figures(json.loads(found.model_dump_json(by_alias=True)))


@pytest.fixture(scope="module", params=["seal", "demo", "people-narrative"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any, Any]:
    """A verdict's name, its golden figures and today's."""
    return request.param, read(request.param), today(request.param, tmp_path_factory.mktemp(request.param))


def equal(golden: Figure, now: Figure) -> bool:
    """Whether two figures are one: numbers within 1e-12, relative above 1; all else exactly."""
    if isinstance(golden, bool) or isinstance(now, bool) or not isinstance(golden, int | float):
        return golden == now
    return isinstance(now, int | float) and math.isclose(golden, now, rel_tol=NEAR, abs_tol=NEAR)


def differences(golden: dict[str, Figure], now: dict[str, Figure]) -> list[str]:
    """The names of the figures that are missing, new or different."""
    absent = object()
    names = sorted(golden.keys() | now.keys())
    return [name for name in names if not equal(golden.get(name, absent), now.get(name, absent))]  # type: ignore[arg-type]


def test_every_figure_is_what_it_was_but_for_named_changes(pair: tuple[str, Any, Any]) -> None:
    name, golden, now = pair
    named = [pattern for verdict, pattern, _ in NAMED_CHANGES if name == verdict]
    changed = differences(golden, now)
    assert [found for found in changed if not any(fnmatchcase(found, pattern) for pattern in named)] == []
    assert [pattern for pattern in named if not any(fnmatchcase(found, pattern) for found in changed)] == []


def test_the_comparison_of_figures_can_fail(pair: tuple[str, Any, Any]) -> None:
    _, golden, _ = pair
    numbers = [key for key, value in golden.items() if isinstance(value, float) and value]
    for key in (numbers[0], numbers[len(numbers) // 2], numbers[-1]):
        assert differences(golden, golden | {key: golden[key] * (1 + 1e-9)}) == [key]
    assert differences(golden, {**golden, "headline/kind": "another"}) == ["headline/kind"]
    assert differences(golden, {key: value for key, value in golden.items() if key != numbers[0]}) == [numbers[0]]
    assert differences(golden, {**golden, "new": None}) == ["new"]
