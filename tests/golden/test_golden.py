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
from netgain.records.claim import Role
from netgain.records.samples import Adaptation, Row, read_rows
from netgain.trials.spec import TrialSpec
from netgain.trials.store import LOCK, SAMPLES, Store
from netgain.trials.trial_claim import claim_of
from tests.golden.figures import FOLDER, Figure, figures, read

ROOT = FOLDER.parent.parent
TRIALS = {"demo": FOLDER / "demo", "people-narrative": ROOT / "results" / "people-narrative"}
NEAR = 1e-12
# What was changed on purpose since the golden figures were written: (verdict, figures, reason). Patterns as in fnmatch.
PUBLISHED_IS_A_RUN = "a published arm is a run of one seed, so what is known of runs is given for it as well"
READING = "what an answer takes at the exam stands beside what training takes"
UNKNOWN = "a stage without records is unknown, a clock that nobody read is not 0, and what was never invested is"
FROZEN_APART = "arms whose frozen models answer differently are not held against each other"
CONTROLS = "control questions are not held against an arm that reads at the exam"
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
    ("seal", "decomposition/*", FROZEN_APART),
    ("seal", "amortisation/*", FROZEN_APART),
    ("seal", "headline/kind", FROZEN_APART),
    ("*", "comparisons/*/other_frozen", FROZEN_APART),
    ("*", "rewards/*/from_means", "rounds of which only rounded means are known are told apart"),
    *(
        (verdict, pattern, reason)
        for verdict in ("demo", "people-narrative")
        for pattern, reason in (
            ("arms/*/answering/*", READING),
            ("reading/*", READING),
            ("card/*", UNKNOWN),
            ("stability/*/in-context@*", CONTROLS),
        )
    ),
    ("demo", "decomposition/*/dearer", "a rival whose whole ladder cost more is named, as in published claims"),
)


def records(folder: Path, into: Path) -> tuple[TrialSpec, dict[str, Role], list[Row]]:
    """What a committed run asked, with which roles, and its rows."""
    (into / LOCK).write_bytes((folder / LOCK).read_bytes())
    (into / SAMPLES).write_bytes(lzma.decompress((folder / f"{SAMPLES}.xz").read_bytes()))
    spec, roles = Store(into).asked()
    return spec, roles, read_rows(into / SAMPLES)


def rederived(folder: Path, into: Path) -> Verdict:
    """The verdict on a run from its committed records."""
    spec, roles, rows = records(folder, into)
    return judge(claim_of(spec, rows, roles), seed=spec.seed)


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
    named = [pattern for verdict, pattern, _ in NAMED_CHANGES if verdict in (name, "*")]
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


def listed_anyhow(value: Any) -> Any:
    """A verdict with every list sorted: what is left when the order of a listing does not count."""
    if isinstance(value, dict):
        return {key: listed_anyhow(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return sorted((listed_anyhow(inner) for inner in value), key=lambda inner: json.dumps(inner, sort_keys=True))
    return value


def test_published_arms_in_another_order_give_the_same_verdict() -> None:
    claim = read_claim()
    turned = claim.model_copy(update={"arms": tuple(reversed(claim.arms))})
    first, second = (json.loads(audit(one).model_dump_json(by_alias=True)) for one in (claim, turned))
    assert [arm["name"] for arm in second["arms"]] == [arm["name"] for arm in reversed(first["arms"])]
    assert listed_anyhow(first) == listed_anyhow(second)


@pytest.mark.parametrize("lost", [False, True])
def test_a_trials_arms_in_another_order_give_the_same_verdict(tmp_path: Path, lost: bool) -> None:
    """The demo has a single seed, so that problems are resampled in their order; also where one arm lacks a problem."""
    spec, roles, rows = records(TRIALS["demo"], tmp_path)
    first = next(row for row in rows if isinstance(row, Adaptation))
    rows = [row for row in rows if not (lost and row is first)]
    turned = spec.model_copy(update={"arms": dict(reversed(spec.arms.items()))})
    again = [row for arm in turned.arms for row in rows if row.arm == arm]
    one = judge(claim_of(spec, rows, roles)).model_dump_json(by_alias=True)
    other = judge(claim_of(turned, again, roles)).model_dump_json(by_alias=True)
    assert listed_anyhow(json.loads(one)) == listed_anyhow(json.loads(other))
