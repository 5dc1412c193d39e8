"""Every sentence of a verdict, word for word: a case for each kind that the code can print (docs/verdicts.md)."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from tests.made_verdict import arm, around, broke, checks_in, compared, parts, reward, terms, verdict

import netgain
from netgain.analysis.details import DetailKind, details
from netgain.analysis.rows import (
    BreakEvenRow,
    CoverageKind,
    CoveragePoint,
    CoverageRow,
    DeploymentsPoint,
    DomainRow,
    GradeRow,
    HeadlineKind,
    ReadingRow,
    RivalRow,
    SpreadRow,
    WorstCase,
)
from netgain.analysis.sentences import headline, judgement, sentence
from netgain.analysis.verdict import DecompositionRow, RetentionTable, Verdict
from netgain.records.claim import GradeName
from netgain.records.provenance import Judging
from netgain.report.summary import plain

LABELS = {"ours": "OURS", "own": "OWN", "strong": "STRONG", "dear": "DEAR", "reads": "READS"}
ARMS = [
    arm("ours", "self_improving", headline=True, seeds=5, invests=["loop"], rung=1.0, method="ours", accuracy=0.47),
    arm("own", seeds=5),
    arm("strong", "other", seeds=5, accuracy=0.463),
    arm("dear", "teacher", seeds=5),
]


def rival(name: str, value: float, margin: float, p: float, *, seeds: int | None = 5, less: bool = False) -> RivalRow:
    known: dict[str, Any] = {"rival": name, "difference": around(value, margin), "p": p, "p_behind": 1 - p}
    known |= {"p_not_worse": None, "p_not_better": None, "cost_per_problem": 1e9, "underspent": less}
    return RivalRow(**known, n_seeds=seeds, n_problems=48)


def worst(*rows: RivalRow, ahead: bool = False, **more: Any) -> WorstCase:
    known: dict[str, Any] = {"rival": rows[0].rival, "difference": rows[0].difference, "p": max(row.p for row in rows)}
    known |= {"level": 0.025, "ahead": ahead, "behind": [], "p_equivalent": None, "all": list(rows), "left_out": []}
    return WorstCase(**known | more)


def row(method: float, margin: float, found: WorstCase | None, **more: Any) -> DecompositionRow:
    known: dict[str, Any] = {"gap": around(20, 5), "compute_part": around(20 - method, 4), "n_seeds": 5}
    known |= {"method_part": around(method, margin), "deployments": 48, "n_problems": 48, "budget_per_problem": 1e9}
    return parts("ours", "own", **{**known, "rival_cost_per_problem": 1e9, "worst_case": found, **more})


AHEAD = worst(rival("strong", 5, 3, 0.004), rival("own", 8, 3, 0.001), ahead=True)
BEHIND = worst(rival("own", -6, 3, 0.999), rival("strong", 2, 3, 0.2), behind=["own"])
LEVEL = worst(rival("own", -1, 4, 0.6), rival("strong", 2, 3, 0.2))
EQUAL = worst(rival("own", -1, 2, 0.6), p_equivalent=0.01)
STARVED = worst(rival("own", 8, 3, 0.001, less=True), ahead=True)
ONCE = worst(rival("strong", 1, 3, 0.3, seeds=1), rival("own", 2, 3, 0.1, seeds=1))
SHARED = ", its investment shared by the 48 problems examined"

# kind, the row, the exact sentence, the plain one
HEADLINES: list[tuple[HeadlineKind, DecompositionRow, str, str]] = [
    (
        "method",
        row(8, 3, AHEAD, cross_fitted=around(6, 4)),
        f"OURS is ahead of every conventional arm at equal compute{SHARED} (smallest difference +5.0 [+2.0, +8.0] over "
        "STRONG, p = 0.004, one-sided): it gains +20.0 [+15.0, +25.0] points over the frozen model; OWN gains +12.0 "
        "[+8.0, +16.0] at equal compute; over that arm the method adds +8.0 [+5.0, +11.0], with the rival chosen on "
        "other problems +6.0 [+2.0, +10.0].",
        "OURS gains 20.0 percentage points in accuracy over the unchanged (frozen) model and, with no more compute"
        f"{SHARED}, is ahead of every conventional arm: the strongest is STRONG (+5.0 points, 95\N{NO-BREAK SPACE}% "
        "interval +2.0 to +8.0).",
    ),
    (
        "rival ahead",
        row(-6, 3, BEHIND),
        f"OURS is behind OWN at equal compute{SHARED} (−6.0 [−9.0, −3.0] points): it gains +20.0 [+15.0, +25.0] points "
        "over the frozen model; OWN gains +26.0 [+22.0, +30.0] at equal compute; over that arm the method adds −6.0 "
        "[−9.0, −3.0].",
        f"With no more compute{SHARED}, training on text that the model wrote itself (OWN) is more accurate than OURS "
        "(−6.0 points, 95\N{NO-BREAK SPACE}% interval −9.0 to −3.0 for OURS).",
    ),
    (
        "nothing left",
        row(-1, 4, LEVEL),
        f"OURS is not distinguishable from OWN at equal compute{SHARED} (−1.0 [−5.0, +3.0] points): it gains +20.0 "
        "[+15.0, +25.0] points over the frozen model; OWN gains +21.0 [+17.0, +25.0] at equal compute; over that arm "
        "the method adds −1.0 [−5.0, +3.0].",
        "OURS gains 20.0 percentage points in accuracy over the unchanged (frozen) model, but its difference from "
        f"training on text that the model wrote itself (OWN), with no more compute{SHARED}, is −1.0 points, "
        "95\N{NO-BREAK SPACE}% interval −5.0 to +3.0: not distinguishable from zero.",
    ),
    (
        "nothing left",
        row(
            -1,
            4,
            worst(rival("own", -1, 4, 0.6, less=True)),
            prompts_differ=True,
            rival_underspent=True,
            rival_cost_per_problem=1.5e8,
        ),
        f"OURS is not distinguishable from OWN (which wrote under another prompt) at no higher cost{SHARED} (−1.0 "
        "[−5.0, +3.0] points): it gains +20.0 [+15.0, +25.0] points over the frozen model; OWN gains +21.0 [+17.0, "
        "+25.0] with "
        "15% of the FLOPs; over that arm method and prompt together add −1.0 [−5.0, +3.0].",
        "OURS gains 20.0 percentage points in accuracy over the unchanged (frozen) model, but its difference from "
        "training on text that the model wrote itself (OWN), under another prompt, with no more compute"
        f"{SHARED}, is −1.0 points, 95\N{NO-BREAK SPACE}% interval −5.0 to +3.0: not distinguishable from zero.",
    ),
    (
        "no difference",
        row(-1, 2, EQUAL),
        f"No difference between OURS and OWN at equal compute{SHARED} (equivalent within 5 points, p = 0.010): it "
        "gains +20.0 [+15.0, +25.0] points over the frozen model; OWN gains +21.0 [+17.0, +25.0] at equal "
        "compute; over that "
        "arm the method adds −1.0 [−3.0, +1.0].",
        f"At equal compute{SHARED}, OURS and training on text that the model wrote itself (OWN) are equally accurate "
        "(−1.0 points, 95\N{NO-BREAK SPACE}% interval −3.0 to +1.0).",
    ),
    (
        "no gain",
        row(1, 3, worst(rival("own", 1, 3, 0.3)), gap=around(1, 5), compute_part=around(0, 4)),
        "OURS's gain over the frozen model is not distinguishable from zero: it gains +1.0 [−4.0, +6.0] points "
        "over the "
        "frozen model; OWN gains 0.0 [−4.0, +4.0] at equal compute; over that arm the method adds +1.0 [−2.0, +4.0].",
        "OURS shows no gain over the unchanged (frozen) model that is distinguishable from zero.",
    ),
    (
        "unmatched",
        row(8, 3, STARVED, rival_underspent=True, rival_cost_per_problem=5e8),
        f"OURS is ahead of the only conventional arm that cost no more{SHARED}, but no conventional arm was given as "
        "much compute: it gains +20.0 [+15.0, +25.0] points over the frozen model; OWN gains +12.0 [+8.0, +16.0] with "
        "50% of the FLOPs; over that arm the method adds +8.0 [+5.0, +11.0]; what equal compute would have bought was "
        "not measured.",
        "OURS gains 20.0 percentage points in accuracy over the unchanged (frozen) model, but no conventional arm was "
        "given as much compute: how much is the method's is unknown.",
    ),
    (
        "too few runs",
        row(2, 3, ONCE, n_seeds=1),
        "One run: figures, no verdict; run two more seeds. OURS minus the frozen model +20.0 [+15.0, +25.0] "
        "points; OURS "
        f"minus OWN at equal compute{SHARED} +2.0 [−1.0, +5.0]; minus the strongest conventional arm, STRONG, +1.0 "
        "[−2.0, +4.0]; so few runs do not show how much of this is the luck of training.",
        "",
    ),
    (
        "cannot tell",
        parts("ours", gap=around(20, 5), budget_per_problem=1e9, deployments=200, n_problems=200, other_frozen=["own"]),
        "OURS gains +20.0 [+15.0, +25.0] points over the frozen model, but no conventional arm was measured beside the "
        "same frozen model at no higher cost, its investment shared by the 200 problems examined: cannot tell.",
        "",
    ),
    (
        "cannot tell",
        parts("ours", gap=around(20, 5), budget_per_problem=1e9),
        "OURS gains +20.0 [+15.0, +25.0] points over the frozen model, but no conventional arm of known and no higher "
        "cost answered the same questions: cannot tell.",
        "",
    ),
    (
        "cannot tell",
        parts("ours", gap=around(20, 5)),
        "OURS gains +20.0 [+15.0, +25.0] points over the frozen model, but what it cost is not stated in what was "
        "read, "
        "so no arm can be matched with it: cannot tell.",
        "",
    ),
]


@pytest.mark.parametrize("case", HEADLINES, ids=lambda case: case[0])
def test_a_verdict_says_this(case: Any) -> None:
    kind, found, exact, simple = case
    assert sentence(kind, found, "ours", LABELS, []) == exact
    told = DOMAIN.model_copy(update={"sentence": exact, "kind": kind})
    shown = verdict(arms=ARMS, decomposition=[found], terms=terms(), domains=[told])
    assert plain(shown) == [("", simple or exact)]
    assert headline(shown).sentence == exact


@pytest.mark.parametrize("case", HEADLINES, ids=lambda case: case[0])
def test_a_kind_follows_from_its_figures(case: Any) -> None:
    """Fewer than three runs are the judge's to see; all else follows from the row."""
    kind, found, *_ = case
    assert judgement(found, fixed=False) == ("nothing left" if kind == "too few runs" else kind)


def test_every_kind_of_verdict_has_a_case() -> None:
    assert {case[0] for case in HEADLINES} == set(get_args(HeadlineKind))


@pytest.mark.parametrize("word", ["ahead", "behind", "distinguishable", "clearly", "better", "no difference", "gains"])
def test_too_few_runs_have_no_verdict_word(word: str) -> None:
    (told,) = (case[2] for case in HEADLINES if case[0] == "too few runs")
    assert word not in told


def test_a_published_claim_says_that_its_arms_were_trained_once() -> None:
    arms = [found.model_copy(update={"seeds": 1}) for found in ARMS]
    published = row(8, 3, AHEAD, n_seeds=1)
    told = headline(verdict(arms=arms, decomposition=[published]))
    assert told.kind == "method"
    assert told.sentence.endswith(" The arms were trained once: the luck of training is in none of these intervals.")
    unsaid = [found.model_copy(update={"seeds": None}) for found in ARMS]
    assert "is not stated: the luck" in headline(verdict(arms=unsaid, decomposition=[published])).sentence
    assert headline(verdict(arms=ARMS, decomposition=[published])).sentence.endswith("[+5.0, +11.0].")


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (verdict(), "There is no comparison to judge: the claim holds no arm. Cannot tell."),
        (verdict(arms=ARMS[1:2]), "There is no comparison to judge: the claim holds a single arm. Cannot tell."),
        (
            verdict(arms=ARMS[1:]),
            "There is no comparison to judge: the claim holds 3 arms, but no headline arm with a rival. Cannot tell.",
        ),
        (
            verdict(arms=ARMS, comparisons=[compared("ours", "own", around(2, 3))]),
            "OURS is +2.0 points from OWN, but the arms cannot be matched in any currency: cannot tell.",
        ),
        (
            verdict(terms=terms()),
            "There is nothing to judge yet: ours was not examined in s. Cannot tell.",
        ),
        (
            verdict(terms=terms(runs_done=3)),
            "Unfinished: 3 of 10 runs. There is nothing to judge yet: ours was not examined in s. Cannot tell.",
        ),
    ],
)
def test_what_cannot_be_judged_says_why(found: Verdict, told: str) -> None:
    assert headline(found).sentence == told


# -- what follows

POINT = DeploymentsPoint(deployments=48, arm="ours", cost_per_problem=1e9, worst_case=AHEAD, stand_ins={}, missing=[])
PAYS = BreakEvenRow(
    setting="s",
    arm="ours",
    currency="flops",
    bill=1e12,
    points=[POINT],
    ahead_from=None,
    reason="it was run for one number of deployments",
)
READING = ReadingRow(
    setting="s",
    reader="reads",
    trained="ours",
    currency="flops",
    questions=9.0,
    reading=2.24e8,
    answering=0.52e8,
    training=1.6e10,
    crossing=94,
    never=False,
)
SPREAD = SpreadRow(setting="s", arm="ours", by_seed=[0.892, 0.809, 0.899], deviation=0.047, settings={}, chosen=None)
DOMAIN = DomainRow(
    setting="s",
    primary=True,
    arm="ours",
    rival="own",
    chosen_on="development",
    frozen=None,
    sentence="",
    kind="method",
    p_equivalent=None,
    n_problems=48,
    n_seeds=5,
    method="",
)
KEPT = RetentionTable(
    name="c",
    sequences=8,
    matrix=[[0.3] * 8] * 9,
    untouched=0.315,
    right_after=0.4,
    after_all=0.234,
    runs=4,
    change_in_runs=around(-11, 8),
    method="",
    sources=[],
)


def graded(name: GradeName, value: float, *, kind: HeadlineKind = "method", decides: GradeName = "exact") -> GradeRow:
    known: dict[str, Any] = {"setting": "s", "sentence": "", "difference": around(value, 3)}
    return GradeRow(grade=name, decides=name == decides, kind=kind, **known)


AGREES = Judging(
    model="m", decides=False, count=144, unreadable=2, raw=0.833, kappa=0.5, lenient=20, strict=4, spent={}
)
TRIAL: dict[str, Any] = {"arms": [*ARMS, arm("reads", "in_context")], "terms": terms(), "domains": [DOMAIN]}

OTHER = {"setting": "plain", "primary": False}


def covers(kind: CoverageKind, first: float | None = None, last: float | None = None, **more: Any) -> CoverageRow:
    """Coverage of OURS at k = 1 and 16, with its lead over the frozen model in points."""
    points = [
        CoveragePoint(k=1, passed=around(45, 5), over_frozen=None if first is None else around(first, 5)),
        CoveragePoint(k=16, passed=around(50, 5), over_frozen=None if last is None else around(last, 10)),
    ]
    ends = {"overtaken": None, "surely_overtaken": None, **more}
    frozen = None if first is None else "frozen"
    return CoverageRow(
        setting="", arm="ours", frozen=frozen, samples=16, temperature=1.0, points=points, kind=kind, **ends
    )


DETAILS: list[tuple[DetailKind, str, Verdict]] = [
    (
        "another domain",
        "In plain: OURS is behind.",
        verdict(
            domains=[DOMAIN.model_copy(update={"setting": "plain", "primary": False, "sentence": "OURS is behind."})]
        ),
    ),
    (
        "break-even",
        "From how many deployments on OURS is ahead is not told, since it was run for one number of deployments: at 48 "
        "deployments it is +5.0 [+2.0, +8.0] points over STRONG, the strongest conventional arm there.",
        verdict(**TRIAL, break_even=[PAYS]),
    ),
    (
        "break-even",
        "OURS is ahead of every conventional arm from 48 deployments on: at 48 deployments it is +5.0 [+2.0, +8.0] "
        "points over STRONG, the strongest conventional arm there.",
        verdict(**TRIAL, break_even=[PAYS.model_copy(update={"ahead_from": 48, "reason": ""})]),
    ),
    (
        "break-even",
        "From how many deployments on OURS's investment pays is not known: it was run for one number of deployments.",
        verdict(**TRIAL, break_even=[PAYS.model_copy(update={"points": []})]),
    ),
    (
        "currency: the same",
        "The verdict is of the same kind matched in updates and real tokens.",
        verdict(
            **TRIAL,
            decomposition=[row(8, 3, AHEAD, currency=name) for name in ("flops", "updates", "tokens_real")],
        ),
    ),
    (
        "currency: it depends",
        "The verdict depends on the currency: matched in updates +8.0 [+5.0, +11.0] against a rival that spent less "
        "(unmatched); of the same kind in real tokens.",
        verdict(
            **TRIAL,
            decomposition=[
                row(8, 3, AHEAD),
                row(8, 3, STARVED, currency="updates", rival_underspent=True),
                row(8, 3, AHEAD, currency="tokens_real"),
            ],
        ),
    ),
    (
        "grade: the same",
        "Graded by contains and F1, the same answers give a verdict of the same kind.",
        verdict(**TRIAL, grades=[graded("exact", 8), graded("contains", 6), graded("f1", 7)]),
    ),
    (
        "grade: it depends",
        "The verdict depends on how the same answers are graded: by contains −6.0 [−9.0, −3.0] (rival ahead); by F1 "
        "the verdict is of the same kind. By exact match, which was fixed before the run: method.",
        verdict(**TRIAL, grades=[graded("exact", 8), graded("contains", -6, kind="rival ahead"), graded("f1", 7)]),
    ),
    (
        "other frozen model",
        "Not held against OURS (47.0 %), because the frozen model measured beside them gives other answers than "
        "the one "
        "beside it: STRONG 46.3 %.",
        verdict(arms=ARMS, decomposition=[parts("ours", other_frozen=["strong"])]),
    ),
    (
        "rounds",
        "A prompt's last round of the outer loop against its round 0, the loop's compute not matched: OURS +7.0 [+3.0, "
        "+11.0].",
        verdict(arms=ARMS, comparisons=[compared("ours", "own", around(7, 4), kind="outer loop")]),
    ),
    (
        "rounds, other frozen model",
        "A prompt's last round of the outer loop against its round 0, the loop's compute not matched, and beside other "
        "frozen models, so that the set-up may differ too: OURS +7.0 [+3.0, +11.0].",
        verdict(arms=ARMS, comparisons=[compared("ours", "own", around(7, 4), kind="outer loop", other_frozen=True)]),
    ),
    (
        "outer loop not charged",
        "If the outer loop's own cost is not counted, what is left by currency: FLOPs +8.0 [+5.0, +11.0] against "
        "OWN (at "
        "100% of its cost).",
        verdict(arms=ARMS, decomposition=[row(8, 3, AHEAD, basis="adapt only")]),
    ),
    (
        "bill",
        "With its share of the outer loop over the 48 problems examined, OURS took at least 482 gradient updates a "
        "problem; the conventional arms were given 72 (2 of unknown cost).",
        verdict(
            arms=[ARMS[0], arm("own", updates_per_problem=72.1), *ARMS[2:]],
            decomposition=[row(8, 3, AHEAD, currency="updates", budget_per_problem=482.0, budget_incomplete=True)],
        ),
    ),
    (
        "reading",
        "READS takes 224 M FLOPs for every question, OURS 16 G for a problem before the exam and 52 M for every "
        "question: from 94 questions about a problem on (here 9 were asked), training has cost no more in all.",
        verdict(**TRIAL, reading=[READING]),
    ),
    (
        "reading",
        "READS takes 224 M FLOPs for every question, OURS 16 G for a problem before the exam and 52 M for every "
        "question: reading never costs more.",
        verdict(**TRIAL, reading=[READING.model_copy(update={"crossing": None, "never": True})]),
    ),
    (
        "run once",
        "OURS was run once (89.2 %): no interval covers the luck of a run.",
        verdict(**TRIAL, spread=[SPREAD.model_copy(update={"by_seed": [0.892]})]),
    ),
    (
        "runs",
        (
            "Over 3 seeds OURS scored 89.2, 80.9, 89.9 %; a run's own luck is estimated at 4.7 points (standard "
            "deviation)."
        ),
        verdict(**TRIAL, spread=[SPREAD]),
    ),
    (
        "runs",
        "Over 2 seeds OURS scored 89.2, 80.9 %.",
        verdict(**TRIAL, spread=[SPREAD.model_copy(update={"by_seed": [0.892, 0.809], "deviation": None})]),
    ),
    (
        "reward",
        "In loop the best of 5 edits looks +14.1 points better than the average edit (the reward's reliability: 0.32); "
        "chosen on 2 of its 3 evaluations and measured on the one left out, +3.6 [+0.6, +6.6].",
        verdict(arms=ARMS, rewards=[reward("loop", reliability=0.32, apparent_gain=0.141, heldout=around(3.6, 3))]),
    ),
    (
        "fixed and broken",
        "OURS fixed 0 answers and broke 122 of the 323 that the frozen model had right.",
        verdict(arms=ARMS, stability=[broke("ours", 122, 323)]),
    ),
    (
        "controls",
        "OURS broke 18 of 1,152 answers to control questions that the frozen model had right, over all runs (change in "
        "accuracy, in points: reading and copying −0.2 [−0.5, +0.1]).",
        verdict(**TRIAL, stability=[broke("ours", 18, 1152, kind="skill", change=around(-0.2, 0.3))]),
    ),
    (
        "coverage",
        "OURS has one right answer of 1 in 45.0%, of 16 in 50.0% (+25.0 [+20.0, +30.0] and −40.0 [−50.0, −30.0] points "
        "over the frozen model): it is sharper, and not more able; the frozen model passes more from k = 4 on (with an "
        "interval that excludes zero from 6).",
        verdict(**TRIAL, coverage=[covers("sharper", 25, -40, overtaken=4, surely_overtaken=6)]),
    ),
    (
        "coverage",
        "OURS has one right answer of 1 in 45.0%, of 16 in 50.0% (+25.0 [+20.0, +30.0] and +4.0 [−6.0, +14.0] points "
        "over the frozen model): it is sharper; whether it is more able cannot be told with 16 tries.",
        verdict(**TRIAL, coverage=[covers("sharper at most", 25, 4)]),
    ),
    (
        "coverage",
        "OURS has one right answer of 1 in 45.0%, of 16 in 50.0%.",
        verdict(**TRIAL, coverage=[covers("cannot tell")]),
    ),
    (
        "retention",
        "After 8 edits in a row, accuracy on the first 7 passages is 23.4% (31.5% untouched); in the 4 runs published "
        "singly it changes by −11.0 [−19.0, −3.0] points.",
        verdict(retention=KEPT),
    ),
    (
        "retention",
        "After 8 edits in a row, accuracy on the first 7 passages is 23.4% (31.5% untouched).",
        verdict(retention=KEPT.model_copy(update={"change_in_runs": None})),
    ),
    (
        "judge",
        "The judge (m) agrees with exact match on 83.3 % of 144 answers, Cohen's kappa 0.50 (20 only the judge finds "
        "right, 4 only exact match does); 2 of its verdicts could not be read; the grades are exact match.",
        verdict(judging=AGREES),
    ),
    (
        "judge",
        "The judge (m) agrees with exact match on 83.3 % of 144 answers, Cohen's kappa 0.50 (20 only the judge finds "
        "right, 4 only exact match does); 2 of its verdicts could not be read; the grades are F1.",
        verdict(terms=terms(grade="f1"), judging=AGREES),
    ),
    (
        "judge: silent",
        "The judge (m) said nothing on any answer; 2 of its verdicts could not be read, and there exact match stands; "
        "its verdicts are the grades.",
        verdict(judging=AGREES.model_copy(update={"raw": None, "decides": True})),
    ),
]


@pytest.mark.parametrize("case", DETAILS, ids=lambda case: case[0])
def test_what_follows_says_this(case: Any) -> None:
    kind, told, found = case
    assert (kind, told) in details(found)


def test_every_kind_of_detail_has_a_case() -> None:
    assert {case[0] for case in DETAILS} == set(get_args(DetailKind))


def test_nothing_follows_from_a_verdict_that_knows_nothing() -> None:
    assert details(verdict()) == []


def test_below_three_seeds_no_grade_is_said_to_give_another_verdict() -> None:
    few = {**TRIAL, "domains": [DOMAIN.model_copy(update={"kind": "too few runs"})]}
    rows = [graded("exact", 8), graded("contains", -6, kind="rival ahead")]
    assert not [kind for kind, _ in details(verdict(**few, grades=rows)) if kind.startswith("grade")]


def test_below_three_seeds_no_currency_is_said_to_give_another_verdict() -> None:
    few = {**TRIAL, "domains": [DOMAIN.model_copy(update={"kind": "too few runs"})]}
    rows = [row(8, 3, AHEAD), row(8, 3, STARVED, currency="updates", rival_underspent=True)]
    assert not [kind for kind, _ in details(verdict(**few, decomposition=rows)) if kind.startswith("currency")]


# -- the page that lists them

PAGE = (Path(__file__).parents[2] / "docs" / "verdicts.md").read_text(encoding="utf-8")
PACKAGE = Path(netgain.__file__).parent


def listed(heading: str) -> set[str]:
    """The kinds in the table under a heading of docs/verdicts.md: what its first cells hold in backticks."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return {name for line in section.splitlines() for name in re.findall(r"^\| `([^`]+)`", line)}


def test_the_page_lists_every_kind_and_no_other() -> None:
    assert listed("The verdict") == set(get_args(HeadlineKind))
    assert listed("What follows") == set(get_args(DetailKind))
    ours, theirs = PACKAGE / "audit", [PACKAGE / "analysis", PACKAGE / "trials"]
    assert listed("Findings of audits") == checks_in(ours.rglob("*.py"))
    assert listed("Findings of trials") == checks_in(file for room in theirs for file in room.rglob("*.py"))
