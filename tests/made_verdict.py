"""Rows of a verdict, made by hand: what a test says is set, everything else is unknown or empty."""

import ast
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from netgain.analysis.intervals import Interval
from netgain.analysis.verdict import ArmRow, Comparison, DecompositionRow, Headline, RewardRow, StabilityRow, Verdict
from netgain.records import claim as claims
from netgain.records.claim import Arm, Claim, Terms
from netgain.records.cost import Currency


def around(value: float, margin: float) -> Interval:
    """An interval in percentage points."""
    return Interval(value / 100, (value - margin) / 100, (value + margin) / 100)


def verdict(**more: Any) -> Verdict:
    texts = dict.fromkeys(("netgain", "claim", "title", "paper", "url", "licence", "model", "tokens", "glossary"), "")
    lists: dict[str, Any] = {
        name: []
        for name in (
            *("arms", "comparisons", "decomposition", "amortisation", "rewards", "outer_loop", "stability"),
            *("questions", "findings", "notes"),
        )
    }
    told = Headline(sentence="", details=[], kind="cannot tell")
    fields = {**texts, **lists, "seed": 0, "headline": told, "retention": None, "reported": {}}
    return Verdict.model_validate(fields | more)


def arm(name: str, role: str = "synthetic", **more: Any) -> ArmRow:
    known = {"name": name, "label": name.upper(), "setting": "s", "role": role, "prompt": "", "headline": False}
    counts = {"frozen_group": "", "tokens_estimated": False, "training": {}, "invests": [], "invests_unpublished": []}
    lists = {"charged_per_problem": {}, "charged_incomplete": [], "undominated": [], "sources": []}
    unknown = dict.fromkeys(
        field
        for field, info in ArmRow.model_fields.items()
        if info.is_required() and field not in {*known, *counts, *lists}
    )
    return ArmRow.model_validate({**unknown, **known, **counts, **lists, **more})


def parts(a: str, rival: str | None = None, **more: Any) -> DecompositionRow:
    """A gap taken apart, in FLOPs, with the outer loop charged."""
    known: dict[str, Any] = {"arm": a, "rival": rival, "currency": "flops", "basis": "with outer loop", "setting": "s"}
    known |= {"budget_incomplete": False, "rival_underspent": False, "dearer": []}
    unknown = dict.fromkeys(field for field, info in DecompositionRow.model_fields.items() if info.is_required())
    return DecompositionRow.model_validate({**unknown, **known, **more})


def compared(a: str, b: str, difference: Interval | None = None, **more: Any) -> Comparison:
    known: dict[str, Any] = {"a": a, "b": b, "kind": "headline", "primary": False, "difference": 0.0, "method": ""}
    if difference is not None:
        known |= {"difference": difference.value, "low": difference.low, "high": difference.high}
    unknown = dict.fromkeys(field for field, info in Comparison.model_fields.items() if info.is_required())
    return Comparison.model_validate({**unknown, **known, **more})


def reward(name: str, **more: Any) -> RewardRow:
    known = {"arm": name, "prompt": "", "round": 0, "problems": 50, "edits": 5, "repeats": 3}
    unknown = dict.fromkeys(field for field, info in RewardRow.model_fields.items() if info.is_required())
    return RewardRow.model_validate({**unknown, **known, **more})


def broke(name: str, broken: int, before: int, **more: Any) -> StabilityRow:
    known = {"arm": name, "fixed": 0, "broken": broken, "previously_correct": before, "questions": 2 * before}
    return StabilityRow.model_validate({**known, **more})


def terms(**more: Any) -> Terms:
    known: dict[str, Any] = {"currency": Currency.FLOPS, "per_problem": 1e12, "ladder": (1.0, 2.0), "deployments": 48}
    known |= {
        "compare": "ours",
        "against": "best conventional",
        "exam": "knowledge",
        "setting": "s",
        "worlds": {"s": "people"},
    }
    known |= {"seeds": 5, "test_problems": 48, "tuning_trials": 6, "runs_planned": 10, "runs_done": 10}
    return Terms.model_validate(known | more)


def claim(*names: str, **more: Any) -> Claim:
    """A claim of arms of one setting, of which nothing is known but what is said."""
    arms = tuple(Arm(name=name, label=name.upper(), setting="s", role="synthetic") for name in names)
    return Claim.model_validate({"name": "c", "title": "C", "arms": arms} | more)


def checks_in(files: Iterable[Path]) -> set[str]:
    """The names of all checks in these files: what the code calls its findings."""
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    calls = [node for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    found = set()
    for call in calls:
        if isinstance(call.func, ast.Name) and call.func.id in {"_finding", "finding", "Finding"}:
            first = [*call.args[:1], *(keyword.value for keyword in call.keywords if keyword.arg == "check")]
            found |= {str(value.value) for value in first if isinstance(value, ast.Constant)}
            found |= {
                getattr(claims, value.id)
                for value in first
                if isinstance(value, ast.Name) and hasattr(claims, value.id)
            }
    return found
