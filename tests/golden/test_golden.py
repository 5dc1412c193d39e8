"""The verdicts on SEAL's published results and on two older trials stay what they were, figure by figure.

The trials are kept as claims (``NAME-claim.json.xz``): one of a single seed in two domains, one of three seeds.
"""

import json
import lzma
import math
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import pytest

from netgain.analysis.judge import judge
from netgain.audit.audit import audit, read_claim
from netgain.records.claim import Arm, Claim, Terms
from tests.golden.figures import FOLDER, Figure, figures, read

TRIALS = ("demo", "people-narrative")
NEAR = 1e-12
# What was changed on purpose since the golden figures were written: (verdict, figures, reason). Patterns as in fnmatch.
# Whoever changes a figure names it here; the list is emptied when the golden figures are written again, as they were
# last when an arm came to be held against every conventional arm, at each number of deployments that was run.
READERS = "arms that read are told with the others (these were still asked behind a foreign passage)"
DRAWN = "what was drawn at the exam to tell sharper from more able: nothing there"
ONE_RUN = "below three seeds there are figures and no verdict"
NAMED_CHANGES: tuple[tuple[str, str, str], ...] = (
    ("*", "chosen", "a table of what arms chose of their training, empty where none could choose"),
    ("demo", "terms/coverage", DRAWN),
    ("people-narrative", "terms/coverage", DRAWN),
    ("demo", "domains/*/kind", ONE_RUN),
    ("demo", "headline/kind", ONE_RUN),
    ("demo", "findings/no-room-to-win *", ONE_RUN),
    ("demo", "findings/small-differences-unseen *", ONE_RUN),
    ("demo", "stability/*/in-context@1 *", READERS),
    ("people-narrative", "stability/*/in-context@1 *", READERS),
    ("people-narrative", "decomposition/* | with outer loop/cross_fitted/*", "no rival is chosen by a last bit"),
    ("seal", "findings/few-tasks *", "the paper's few-shot figures have an interval"),
    ("seal", "findings/settings-changed-between-rounds *", "it weakens the comparison of rounds, not the headline"),
)


@cache
def recorded(name: str) -> Claim:
    """The claim of an older trial; terms that trials no longer have are left out."""
    raw = json.loads(lzma.decompress((FOLDER / f"{name}-claim.json.xz").read_bytes()))
    raw["terms"] = {key: value for key, value in raw["terms"].items() if key in Terms.model_fields}
    return Claim.model_validate(raw)


@cache
def today(name: str) -> dict[str, Figure]:
    """The figures of a verdict as the code gives them today."""
    found = judge(recorded(name)) if name in TRIALS else audit(read_claim())
    return figures(json.loads(found.model_dump_json(by_alias=True)))


@pytest.fixture(scope="module", params=["seal", *TRIALS])
def pair(request: pytest.FixtureRequest) -> tuple[str, Any, Any]:
    """A verdict's name, its golden figures and today's."""
    return request.param, read(request.param), today(request.param)


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
def test_a_trials_arms_in_another_order_give_the_same_verdict(lost: bool) -> None:
    """With a single seed problems are resampled in their order; also where one arm lacks a problem."""
    claim = recorded("demo")
    arms = [_without_first_problem(arm) if lost and not index else arm for index, arm in enumerate(claim.arms)]
    one, other = (
        judge(claim.model_copy(update={"arms": tuple(found)})).model_dump_json(by_alias=True)
        for found in (arms, arms[::-1])
    )
    assert listed_anyhow(json.loads(one)) == listed_anyhow(json.loads(other))


def _without_first_problem(arm: Arm) -> Arm:
    assert arm.trial
    runs = tuple(
        run.model_copy(update={"correct": ("-" * len(run.correct[0]), *run.correct[1:])}) for run in arm.trial.runs
    )
    return arm.model_copy(update={"trial": arm.trial.model_copy(update={"runs": runs})})
