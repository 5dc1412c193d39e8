"""Every finding of a trial, word for word: a case for each that the code can print (docs/verdicts.md)."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.made_verdict import arm, around, checks_in, compared

import netgain
from netgain.analysis import findings
from netgain.analysis.evidence import Evidence
from netgain.analysis.rows import DomainRow, GradeRow, HeadlineKind
from netgain.records.claim import Claim, Finding, GradeName, Search
from netgain.records.learning import ChosenTraining
from netgain.records.provenance import Judging, RunSetup
from netgain.records.samples import Adaptation, Row, Tuning
from netgain.trials.trial_claim import claim_of

JUDGE = Judging(model="m", decides=True, count=80, unreadable=20, raw=0.9, kappa=None, lenient=0, strict=0, spent={})
PACKAGE = Path(netgain.__file__).parent


@pytest.fixture(scope="module")
def design(simulated: ModuleType) -> Any:
    return simulated.Design(simulated.STANDARD, problems=6, ladder=(1.0, 2.0))


@pytest.fixture(scope="module")
def rows(simulated: ModuleType, design: Any) -> list[Row]:
    return simulated.rows_of(design)  # type: ignore[no-any-return]


def claimed(simulated: ModuleType, design: Any, rows: list[Row], **more: Any) -> Claim:
    return claim_of(simulated.spec_of(design), rows, simulated.ROLES, **more)


def changed(rows: list[Row], **fields: Any) -> Iterator[Row]:
    """The rows with one adaptation of SEAL changed."""
    done = False
    for row in rows:
        mine = isinstance(row, Adaptation) and row.arm == "seal" and not done
        done = done or mine
        yield row.model_copy(update=fields) if mine else row


OF_ROWS = [
    (
        "exposed",
        {"exposed": ("q",)},
        "trained on exam questions or answers that nothing it was given contains, in 1 of 18 adaptations",
    ),
    ("unmetered", {"unmetered": True}, "took more processor time than its charges explain, in 1 of 18 adaptations"),
    ("beside-the-books", {"opened": ("sockets",)}, "opened what no budget knows, in 1 of 18 adaptations"),
    (
        "failed",
        {"status": "failed", "error": "a NaN step", "answers": ()},
        "1 of 18 adaptations failed; they were paid for, and count as wrong",
    ),
    ("above-budget", {"budget": 1.0}, "spent more than its budget, in 1 of 18 rows"),
]


@pytest.mark.parametrize(("check", "fields", "told"), OF_ROWS, ids=lambda case: case if isinstance(case, str) else "")
def test_what_is_wrong_with_a_row_is_said(
    simulated: ModuleType, design: Any, rows: list[Row], check: str, fields: dict[str, Any], told: str
) -> None:
    found = claimed(simulated, design, [*changed(rows, **fields)]).findings
    assert [one.message.endswith(told) for one in found if one.check == check] == [True]
    assert not [one for one in claimed(simulated, design, rows).findings if one.check == check]


def test_rows_of_strangers_and_words_that_the_model_does_not_know_are_said(
    simulated: ModuleType, design: Any, rows: list[Row]
) -> None:
    stranger = next(row for row in rows if isinstance(row, Adaptation)).model_copy(update={"arm": "nobody"})
    setup = RunSetup(warnings=("the model does not know 3 words",))
    found = {one.check: one for one in claimed(simulated, design, [*rows, stranger], setup=setup).findings}
    assert found["rows-of-no-arm"].message == "rows of 1 arm that the trial does not name are left out"
    assert found["unknown-words"].message == "the model does not know 3 words"


def test_what_kept_a_rival_from_being_tuned_as_well_as_it_could_is_said(
    simulated: ModuleType, design: Any, rows: list[Row]
) -> None:
    """What weakens a rival can overturn the verdict by itself; what weakens the method makes it too cautious."""
    spec = simulated.spec_of(design)
    arms = {
        name: arm.model_copy(update={"fixed": ("rate",) if name in ("seal", "passage") else ()})
        for name, arm in spec.arms.items()
    }
    knobs = spec.tuning.model_copy(update={"knobs": {"rate": (1e-3, 3e-3)}})
    spec = spec.model_copy(update={"arms": arms, "tuning": knobs})
    at_end = [
        row.model_copy(update={"edges": ("rate",)})
        if isinstance(row, Tuning) and row.arm in ("seal", "passage")
        else row
        for row in rows
    ]
    further = next(row for row in at_end if isinstance(row, Tuning) and row.arm == "seal")
    at_end.append(further.model_copy(update={"deployments": 400}))
    found = claim_of(spec, at_end, simulated.ROLES).findings
    told = [
        (one.severity, one.message, one.evidence)
        for one in found
        if one.check in ("tuned-to-the-edge", "fixed-where-others-tune")
    ]
    edge = "its best settings lie at the end of what was tried, so better ones may lie beyond"
    assert told == [
        ("high", f"plain/passage: {edge}", ("rate = 0.001",)),
        ("medium", f"plain/seal: {edge}", ("rate = 0.001",)),
        ("medium", f"plain/seal for 400 deployments: {edge}", ("rate = 0.001",)),
        ("high", "passage keeps settings fixed that others tune", ("rate",)),
        ("medium", "seal keeps settings fixed that others tune", ("rate",)),
    ]


def of_trial(claim: Claim, **more: Any) -> dict[str, Finding]:
    arms, domains, compared_ = (more.get(name, []) for name in ("arms", "domains", "compared"))
    return {found.check: found for found in findings.of_trial(Evidence.of(claim, 0), arms, domains, compared_)}


def test_what_the_analysis_finds_is_said(simulated: ModuleType, design: Any, rows: list[Row]) -> None:
    claim = claimed(simulated, design, rows)
    assert claim.terms
    short = arm("own", own=True, underspent=True, spent_share=0.97)
    unsure = compared(
        "a", "b", around(1, 8), primary=True, smallest_detectable=0.12, equivalence_margin=0.05, n_seeds=5
    )
    found = of_trial(
        claim.model_copy(
            update={
                "terms": claim.terms.model_copy(update={"runs_done": 1, "runs_planned": 9}),
                "judging": JUDGE,
                "searches": (Search(arm="plain/own", settings="x", accuracy=0.5, chosen=True),),
            }
        ),
        arms=[short, arm("a"), arm("b")],
        compared=[unsure],
    )
    told = {check: one.message for check, one in found.items()}
    assert told["unfinished"] == "unfinished: 1 of 9 runs"
    assert told["underspent"] == "1 arm left more than 1 % of its budget unspent"
    assert told["tuned-less"] == "3 arms had fewer tuning trials than others"
    assert told["judge-unreadable"] == ("20 of 100 verdicts of the judge could not be read; there exact match stands")
    assert told["small-differences-unseen"] == (
        "A against B: this many seeds and problems detect a difference of 12.0 points with 80 % power, and smaller "
        "ones less often"
    )


def test_ratings_that_could_not_be_read_are_said(simulated: ModuleType, design: Any, rows: list[Row]) -> None:
    claim = claimed(simulated, design, rows)
    run = claim.reward_runs[0]
    assert "rubric-unreadable" not in of_trial(claim)
    whole = run.problems * run.edits
    few = run.model_copy(update={"unread": whole // 20})
    assert "rubric-unreadable" not in of_trial(claim.model_copy(update={"reward_runs": (few,)}))
    many = of_trial(claim.model_copy(update={"reward_runs": (run.model_copy(update={"unread": whole}),)}))
    assert many["rubric-unreadable"].severity == "medium"
    assert many["rubric-unreadable"].evidence == (f"{run.name}: {whole:,} beside {whole:,} edits that were rated",)


def test_fewer_than_three_seeds_are_said_to_allow_no_verdict(simulated: ModuleType, design: Any) -> None:
    once = replace(design, seeds=2)
    found = of_trial(claimed(simulated, once, simulated.rows_of(once)))
    told = "4 arms were run under fewer than 3 seeds: their figures stand, no verdict is given on them"
    assert found["single-seed"].message == told
    assert "single-seed" not in of_trial(claimed(simulated, design, simulated.rows_of(design)))


def graded(claim: Claim, kinds: dict[GradeName, HeadlineKind], decides: GradeName = "exact") -> dict[str, Finding]:
    """The findings where the arm under test stands so by each grade."""
    told: dict[str, Any] = {"setting": "plain", "sentence": "", "difference": around(3, 2)}
    rows = [GradeRow(grade=name, decides=name == decides, kind=kind, **told) for name, kind in kinds.items()]
    domain = DomainRow.model_validate(
        dict.fromkeys(("rival", "frozen", "p_equivalent", "n_problems", "n_seeds"))
        | {"setting": "plain", "primary": True, "arm": "a", "chosen_on": "nothing", "sentence": "", "kind": "method"}
        | {"method": ""}
    )
    found = findings.of_trial(Evidence.of(claim, 0), [arm("a")], [domain], [], rows)
    return {one.check: one for one in found}


def test_another_grade_that_gives_another_verdict_is_said(simulated: ModuleType, design: Any, rows: list[Row]) -> None:
    claim = claimed(simulated, design, rows)
    ahead: HeadlineKind = "method"
    found = graded(claim, {"exact": ahead, "contains": "nothing left", "f1": ahead})["grade-changes-the-answer"]
    assert (found.severity, found.message) == (
        "medium",
        "plain: under exact match A is ahead of every conventional arm, under contains it is neither ahead nor behind",
    )
    assert found.evidence[1] == "contains: +3.0 [+1.0, +5.0] points"
    opposite = graded(claim, {"exact": "rival ahead", "contains": ahead, "f1": "no gain"})["grade-changes-the-answer"]
    assert (opposite.severity, opposite.message) == (
        "high",
        "plain: under exact match A is behind, under contains it is ahead of every conventional arm, under F1 it gains "
        "nothing over the frozen model that is distinguishable from zero",
    )
    few: HeadlineKind = "too few runs"
    alike: list[dict[GradeName, HeadlineKind]] = [{"exact": ahead, "contains": ahead}, {"exact": few, "f1": ahead}]
    assert not [one for one in alike if "grade-changes-the-answer" in graded(claim, one)]


def test_arms_whose_answers_are_often_empty_or_cut_are_named(
    simulated: ModuleType, design: Any, rows: list[Row]
) -> None:
    claim = claimed(simulated, design, rows)
    assert "empty-or-cut" not in of_trial(claim)
    shares = {"plain/own@1": (0.5, 0.0), "plain/seal@1": (0.0, 0.21), "plain/passage@1": (0.2, 0.2)}
    arms = [
        one.model_copy(
            update={"trial": one.trial.model_copy(update=dict(zip(("empty", "cut"), shares[one.name], strict=True)))}
        )
        if one.trial and one.name in shares
        else one
        for one in claim.arms
    ]
    found = of_trial(claim.model_copy(update={"arms": tuple(arms)}))["empty-or-cut"]
    assert found.severity == "medium"
    assert found.message.startswith("2 arms gave many answers that are empty, or cut at the length that is allowed")
    assert [line.partition(": ")[2] for line in found.evidence] == ["50% empty, 0% cut", "0% empty, 21% cut"]


def test_an_arm_that_mostly_chose_nothing_it_could_be_trained_with_is_named(
    simulated: ModuleType, design: Any, rows: list[Row]
) -> None:
    claim = claimed(simulated, design, rows)
    used, refused = ChosenTraining(epochs=1), ChosenTraining(refused="no JSON object")

    def with_choices(*choices: ChosenTraining) -> Claim:
        named = [one.model_copy(update={"problem": str(number)}) for number, one in enumerate(choices)]
        again = [refused.model_copy(update={"problem": "0"})]  # written beside what was trained with
        arms = [
            one.model_copy(update={"trial": one.trial.model_copy(update={"chosen": (*named, *again)})})
            if one.trial and one.name == "plain/seal@1"
            else one
            for one in claim.arms
        ]
        return claim.model_copy(update={"arms": tuple(arms)})

    assert "nothing-chosen" not in of_trial(claim)
    assert "nothing-chosen" not in of_trial(with_choices(used, used, used, used, refused))
    found = of_trial(with_choices(used, used, refused, refused))["nothing-chosen"]
    assert found.severity == "medium"
    assert found.message.startswith("1 arm chose nothing for many tasks")
    assert [line.partition(": ")[2] for line in found.evidence] == ["50% of 4 adaptations"]


# said in tests/analysis/test_trial.py, where trials are made whose domains show nothing, or whose rival was chosen so,
# in tests/trials (a limited run)
ELSEWHERE = {"policy-collapse"}  # tests/analysis/test_policy_curves.py
ELSEWHERE |= {"no-room-to-win", "world-is-no-test", "rival-chosen-on-test", "limited"}
ELSEWHERE |= {"missing", "done-again", "trial-changed", "not-verified", "attempts-deleted"}  # tests/trials/test_kept.py
ELSEWHERE |= {"judge-mistaken"}  # tests/trials/test_judge.py
HERE = {"rows-of-no-arm", "unknown-words", "unfinished", "underspent", "tuned-less", "judge-unreadable"}
HERE |= {"rubric-unreadable"}
HERE |= {"grade-changes-the-answer", "empty-or-cut", "nothing-chosen"}
HERE |= {"small-differences-unseen", "single-seed", "tuned-to-the-edge", "fixed-where-others-tune"}


def test_every_finding_of_a_trial_has_a_case() -> None:
    rooms = [file for room in ("analysis", "trials") for file in (PACKAGE / room).rglob("*.py")]
    assert checks_in(rooms) == {check for check, *_ in OF_ROWS} | HERE | ELSEWHERE
