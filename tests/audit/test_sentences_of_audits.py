"""Every finding and every answer of an audit, word for word: a case for each kind that the code can print."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.made_verdict import arm, around, broke, checks_in, claim, compared, parts, reward, verdict

from netgain.analysis.verdict import Verdict
from netgain.audit import checks, questions
from netgain.audit.checks import claim_checks, stated_checks
from netgain.audit.seal import frozen_answers
from netgain.audit.seal.files import bad_file
from netgain.audit.seal.frozen_answers import FrozenAnswers
from netgain.records.claim import Claim, PublishedAnswer, RewardRun, Training
from netgain.records.stated import Loss, Stated

ROOM = Path(questions.__file__).parent
OURS, RIVAL = arm("ours", "self_improving"), arm("rival", "passage")


def priced(name: str, updates: float | None, role: str = "passage", **more: Any) -> Any:
    return arm(name, role, updates_per_problem=updates, **more)


LOOP = parts("ours", currency="updates", budget_per_problem=482.0, deployments=200)
TWO = [priced("ours", 79.0, "self_improving", invests=["round 1"], headline=True), priced("rival", 10.0)]
ONE = claim("ours", "rival", headline="ours")
RIVALS = ONE.arms


def stating(rival: dict[str, Any] | None = None, **ours: Any) -> Claim:
    """The claim of two arms with what is stated of each."""
    arms = (RIVALS[0].model_copy(update=ours), RIVALS[1].model_copy(update=rival or {}))
    return ONE.model_copy(update={"arms": arms, "rival": "rival"})


RUN = RewardRun(
    name="r0",
    prompt="p",
    round=0,
    problems=1,
    edits=1,
    repeats=1,
    kept=1,
    updates=65_490.0,
    training=Training(split_newlines=True),
)
NEXT = RUN.model_copy(
    update={"name": "r1", "round": 1, "updates": 15_000.0, "training": Training(split_newlines=False)}
)
REPORTED = {"FLOPs": None, "gradient updates": "paper: table 1"}

ONCE: dict[str, Any] = {"primary": True, "n_problems": 200, "n_seeds": 1}

# check, severity, the sentence, and what it is said of
CASES: list[tuple[Callable[..., Any], str, str, str, Claim, Verdict]] = [
    (
        checks.unequal_training,
        "unequal-training",
        "high",
        "s: the arms were not trained equally, by a factor of up to 7.9",
        ONE,
        verdict(arms=TWO),
    ),
    (
        checks.bill_left_out,
        "outer-loop-not-charged",
        "high",
        (
            "the outer loop's training is not part of the comparison: OURS: 79 updates a problem as compared, 482 "
            "with its outer loop if shared by the 200 problems examined"
        ),
        ONE,
        verdict(arms=TWO, decomposition=[LOOP]),
    ),
    (
        checks.starts_differ,
        "starts-differ",
        "high",
        "s: the training of OURS starts from models/iter2, that of RIVAL from the base model: what was learned before "
        "is part of the difference",
        claim(arms=(RIVALS[0].model_copy(update={"starts_from": "models/iter2"}), RIVALS[1])),
        verdict(),
    ),
    (
        checks.other_models,
        "models-differ",
        "high",
        "not held against OURS, which is made of a/seven: RIVAL (a/three); two base models differ in more than a "
        "method",
        claim(
            arms=tuple(
                one.model_copy(update={"model": model})
                for one, model in zip(RIVALS, ("a/seven", "a/three"), strict=True)
            ),
            headline="ours",
        ),
        verdict(),
    ),
    (
        checks.hyperparameters_differ,
        "hyperparameters-differ",
        "high",
        "s: learning_rate differs between compared arms by a factor of 10",
        claim("ours", "rival").model_copy(
            update={
                "arms": tuple(
                    one.model_copy(update={"training": Training(learning_rate=rate)})
                    for one, rate in zip(ONE.arms, (1e-3, 1e-4), strict=True)
                )
            }
        ),
        verdict(),
    ),
    (
        checks.baseline_drifts,
        "baseline-drifts",
        "medium",
        (
            "s: the frozen baseline scores 30.2% to 33.9%: up to 3.7 points between two arms can come from the run or "
            "the set-up (or from other questions)"
        ),
        ONE,
        verdict(arms=[arm("ours", frozen_accuracy=0.302), arm("rival", frozen_accuracy=0.339)]),
    ),
    (
        checks.little_overlap,
        "questions-differ",
        "medium",
        "1 arm answered too few of the questions of OURS to be matched with it",
        ONE,
        verdict(
            arms=[OURS, RIVAL],
            comparisons=[
                compared("ours", "frozen", kind="frozen", n_questions=100),
                compared("ours", "rival", n_questions=89),
            ],
        ),
    ),
    (
        checks.compute_not_reported,
        "compute-not-reported",
        "high",
        "1 of 2 kinds of compute were not found in the field names of 3 result files: FLOPs",
        ONE,
        verdict(arms=[OURS], reported=REPORTED, searched="the field names of 3 result files"),
    ),
    (
        checks.compute_not_reported,
        "compute-not-reported",
        "medium",
        "1 of 2 kinds of compute were not found in what was read: FLOPs",
        ONE,
        verdict(arms=TWO, reported=REPORTED),
    ),
    (
        checks.no_strong_rival,
        "no-fine-tuning-arm",
        "high",
        "among what was read there is no conventional fine-tuning arm to compare the headline arm with",
        ONE,
        verdict(arms=TWO[:1], decomposition=[LOOP]),
    ),
    (
        checks.no_strong_rival,
        "fine-tuning-starved",
        "high",
        (
            "the longest-trained conventional arm, RIVAL, was given 2% of the updates that the headline arm took with "
            "its outer loop, shared by the problems examined"
        ),
        ONE,
        verdict(arms=TWO, decomposition=[LOOP]),
    ),
    (
        checks.unresolvable,
        "difference-unresolvable",
        "high",
        (
            "OURS against RIVAL: +0.7 points [−3.5, +4.9], but the smallest that 200 problems detect with 80 % power "
            "is 6.0, the luck of training not counted"
        ),
        ONE,
        verdict(
            arms=TWO,
            comparisons=[
                compared(
                    "ours", "rival", around(0.7, 4.2), primary=True, smallest_detectable=0.06, n_problems=200, n_seeds=1
                )
            ],
        ),
    ),
    (
        checks.noisy_selection,
        "noisy-selection",
        "medium",
        (
            "in 2 of 2 rounds edits are selected by a reward with a reliability of 0.32 to 0.45 for the mean of 3 "
            "evaluations, below 0.7"
        ),
        ONE,
        verdict(
            rewards=[
                reward("r0", reliability=0.32),
                reward("r1", reliability=0.45),
                reward("r2", reliability=0.17, from_means=True),
            ]
        ),
    ),
    (
        checks.settings_changed,
        "settings-changed-between-rounds",
        "medium",
        "p: split_newlines changed between r0 and r1: 65,490 against 15,000 updates a round",
        claim("ours", reward_runs=(RUN, NEXT)),
        verdict(),
    ),
    (
        checks.regressions_not_shown,
        "regressions-not-shown",
        "medium",
        (
            "net accuracy does not show that OURS broke 38% of the answers that its frozen model had right (122 of "
            "323); over all arms 20% to 38%"
        ),
        ONE,
        verdict(arms=TWO, stability=[broke("rival", 20, 100), broke("ours", 122, 323)]),
    ),
    (
        checks.single_seed,
        "single-seed",
        "medium",
        (
            "1 of 2 arms were trained and examined once; every interval here is over problems and leaves out the "
            "spread between runs"
        ),
        ONE,
        verdict(arms=[arm("ours", seeds=1), arm("rival", seeds=3)]),
    ),
    (
        checks.per_question_missing,
        "per-question-data-missing",
        "medium",
        "no verdicts on single questions were found for OURS, RIVAL: nothing there can be paired or checked",
        ONE,
        verdict(),
    ),
    (
        checks.does_not_regenerate,
        "accuracy-does-not-regenerate",
        "medium",
        "OURS: the paper states 0.4370, its verdicts give 0.4268",
        ONE,
        verdict(arms=[arm("ours", accuracy=0.4268, accuracy_paper=0.437)]),
    ),
    (
        checks.rounds_unpublished,
        "rounds-unpublished",
        "medium",
        "reward runs not found: p round 2; the bills of the arms that stand on them are lower bounds",
        claim("ours").model_copy(
            update={"arms": (ONE.arms[0].model_copy(update={"invests_unpublished": ("p round 2",)}),)}
        ),
        verdict(),
    ),
    (
        checks.few_problems,
        "few-problems",
        "medium",
        "OURS rests on 8 problems: 0%, 95 % interval 0% to 31%",
        ONE,
        verdict(arms=[arm("ours", n_problems=8, accuracy=0.0, low=0.0, high=0.31)]),
    ),
    (
        stated_checks.unreachable,
        "unreachable-score",
        "medium",
        "OURS: 12.0 % of 30 answers is no count of right ones (3 of 30 is 10.00 % and 4 of 30 is 13.33 %); a "
        "macro-average, "
        "several seeds, partial credit or a slip would explain it",
        stating(accuracy=0.12, n_questions=30, stated=Stated(digits=3)),
        verdict(),
    ),
    (
        stated_checks.standard_error_misfits,
        "standard-error-misfits",
        "medium",
        "OURS: a standard error of 5.6 points is stated with 12.0 % of 30 questions, where independent questions "
        "give 5.9 "
        "to 6.0 and 5.6 is that of 3 of 30 (10.0 %); clusters, several samples or a slip would explain it",
        stating(accuracy=0.12, n_questions=30, stated=Stated(standard_error=0.056)),
        verdict(),
    ),
    (
        stated_checks.places_disagree,
        "places-disagree",
        "medium",
        "OURS is 12.0 % where it is claimed and 10.0 % in its log: \N{MINUS SIGN}2.0 points",
        stating(accuracy=0.12, stated=Stated(elsewhere={"its log": 0.1})),
        verdict(),
    ),
    (
        stated_checks.measured_differently,
        "measured-differently",
        "medium",
        "OURS is 16.5 % here and 26.7 % in another paper: 10.2 points apart, more than what 1,000 answers scatter "
        "(3.7); a "
        "gain over one protocol is not a gain over another",
        stating(accuracy=0.165, n_questions=1000, stated=Stated(again={"another paper": 0.267})),
        verdict(),
    ),
    (
        stated_checks.measured_differently,
        "measured-differently",
        "low",
        "OURS is 16.5 % here and 26.7 % in another paper: 10.2 points apart, within what 30 answers scatter "
        "(21.1); a gain "
        "over one protocol is not a gain over another",
        stating(accuracy=0.165, n_questions=30, stated=Stated(again={"another paper": 0.267})),
        verdict(),
    ),
    (
        claim_checks.inference_differs,
        "inference-differs",
        "high",
        "OURS draws 64 answers for each question, RIVAL 1: a part of the difference is bought at the exam",
        stating({"stated": Stated(answers=1)}, stated=Stated(answers=64)),
        verdict(),
    ),
    (
        claim_checks.own_control,
        "own-control",
        "high",
        "the publication itself ran a control, RIVAL (three times the samples): OURS is +1.0 points ["
        "\N{MINUS SIGN}2.0, +4.0] over it",
        stating({"stated": Stated(control="three times the samples")}).model_copy(update={"rival": None}),
        verdict(comparisons=[compared("ours", "rival", around(1, 3))]),
    ),
    (
        claim_checks.peak_reported,
        "peak-reported",
        "medium",
        "OURS is reported at its best, 47.4%; at the end of its training it has 33.0% (\N{MINUS SIGN}14.4 "
        "points): how the "
        "checkpoint is chosen is part of the method",
        stating(accuracy=0.474, stated=Stated(end=0.33)),
        verdict(),
    ),
    (
        claim_checks.chosen_on_test,
        "chosen-on-test",
        "medium",
        "the checkpoint of OURS was chosen on the questions that it is reported on: the best of several looks "
        "better there "
        "than it is",
        stating(stated=Stated(chosen_on="test")),
        verdict(),
    ),
    (
        claim_checks.losses_not_claimed,
        "losses-not-claimed",
        "medium",
        "in the publication's own figures 1 got worse, which its claim does not tell: MMLU \N{MINUS SIGN}0.9",
        ONE.model_copy(update={"losses": (Loss(what="MMLU", before=0.6092, after=0.5999, source="table 2"),)}),
        verdict(),
    ),
    (
        claim_checks.seeds_not_stated,
        "seeds-not-stated",
        "medium",
        "how often it was trained is not stated of 1 of 1 trained arms: the spread between runs is unknown",
        stating(accuracy=0.5),
        verdict(),
    ),
    (
        claim_checks.read_in_a_summary,
        "not-checked-against-primary-text",
        "medium",
        "its figures were read in somebody's summary, not in the publication: check them there before citing this",
        ONE.model_copy(update={"read": "summary"}),
        verdict(),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[1]} {case[2]}")
def test_a_check_says_this(case: Any) -> None:
    check, name, severity, told, asked, found = case
    (finding,) = (one for one in check(asked, found) if one.check == name)
    assert (finding.message, finding.severity) == (told, severity)
    assert not any("None" in line for line in finding.evidence)


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
def test_a_check_that_has_nothing_to_work_on_says_nothing(check: Any) -> None:
    assert not [one for one in check(claim("ours"), verdict()) if one.check != "per-question-data-missing"]


@pytest.mark.parametrize(("questions", "told"), [(200, 0), (5_000, 1), (None, 1)])
def test_a_baseline_on_other_questions_may_differ_by_what_so_many_scatter(questions: int | None, told: int) -> None:
    arms = [
        arm(name, frozen_accuracy=share, n_questions=questions) for name, share in (("ours", 0.302), ("rival", 0.339))
    ]
    assert len(list(checks.baseline_drifts(ONE, verdict(arms=arms)))) == told


def test_a_difference_that_is_clear_is_not_called_unresolvable() -> None:
    clear = compared("ours", "rival", around(4, 3), primary=True, smallest_detectable=0.06, n_problems=200)
    assert not list(checks.unresolvable(ONE, verdict(arms=TWO, comparisons=[clear])))


def answers(*texts: str) -> FrozenAnswers:
    return FrozenAnswers(tuple(texts), tuple(text == "a" for text in texts))


def test_what_frozen_answers_show() -> None:
    files = {"f": answers("a", "a", "b"), "g": answers("a", "a", "b"), "h": answers("a", "c", "d")}
    (differs,) = frozen_answers.findings(files)
    assert differs.check == "frozen-model-differs"
    assert differs.message == (
        "the 'frozen' baseline is not one model, or not one set-up, in all files: at temperature 0 it answers only 33% "
        "to 33% of the questions alike across 2 groups of files (100% to 100% within them); a gain over one baseline "
        "is not a gain over another"
    )
    graded = {"f": FrozenAnswers(("a", "b"), (True, False)), "g": FrozenAnswers(("a", "b"), (False, False))}
    (unsteady,) = frozen_answers.findings(graded)
    assert unsteady.check == "grader-inconsistent"
    assert unsteady.message == "the grader judged 50.0% of identical answers to the same question differently"


def test_a_file_that_cannot_be_read_is_named() -> None:
    found = bad_file("a.json", "is not JSON")
    assert (found.check, found.message) == ("file-unreadable", "a.json is not used: is not JSON")


# said of SEAL's files in tests/audit/test_seal.py, where a whole tree of them is made
OF_FILES = {"setting-missing", "entries-collapse", "provenance-contradicts", "few-tasks"}
ELSEWHERE = {"frozen-model-differs", "grader-inconsistent", "file-unreadable"}
OF_LOGS = {"conditions-differ", "logs-disagree", "run-unknown", "time-to-target"}  # there too
OF_CURVES = {"peak-is-not-the-end", "traded-off"}  # in tests/audit/runs, on logs


def test_every_check_of_an_audit_has_a_case() -> None:
    assert checks_in(ROOM.rglob("*.py")) == {case[1] for case in CASES} | OF_FILES | ELSEWHERE | OF_LOGS | OF_CURVES


# -- the four questions

STEPS = "Are the baselines trained for as many steps as the headline arm?"
STATED = "Is total compute per method reported?"
STRONG = "Is there a strong standard fine-tuning baseline?"
EARLIER = "Are regressions on earlier tasks checked?"
TOLD = PublishedAnswer(answer="no", evidence=("the paper says so",))
STARTED = [arm("base", "frozen"), *TWO]
EQUAL = parts("ours", currency="updates", budget_per_problem=10.0)
LEAST = LOOP.model_copy(update={"budget_incomplete": True})
UNKNOWN = parts("ours", currency="updates")

ANSWERS: list[tuple[str, str, list[str], Claim, Verdict]] = [
    (
        STEPS,
        "no",
        [
            "the gain is stated over a frozen model, which took no updates",
            "RIVAL: 10 updates a problem",
            "headline arm with its outer loop: 482 updates a problem (shared by the 200 problems examined)",
        ],
        ONE,
        verdict(arms=STARTED, decomposition=[LOOP]),
    ),
    (
        STEPS,
        "yes",
        ["RIVAL: 10 updates a problem", "headline arm with its outer loop: 10 updates a problem"],
        ONE,
        verdict(arms=TWO, decomposition=[EQUAL]),
    ),
    (
        STEPS,
        "cannot tell",
        ["RIVAL: number of updates not stated", "headline arm with its outer loop: 10 updates a problem"],
        ONE,
        verdict(arms=[TWO[0], priced("rival", None)], decomposition=[EQUAL]),
    ),
    (
        STEPS,
        "cannot tell",
        ["RIVAL: 10 updates a problem", "the headline arm's number of updates is not stated"],
        ONE,
        verdict(arms=TWO, decomposition=[UNKNOWN]),
    ),
    (
        STEPS,
        "no",
        ["headline arm with its outer loop: 10 updates a problem", "the only baseline is frozen"],
        ONE,
        verdict(arms=TWO[:1], decomposition=[EQUAL]),
    ),
    (STATED, "cannot tell", ["the claim does not say what was reported"], ONE, verdict(arms=TWO)),
    (
        STATED,
        "no",
        ["stated: gradient updates, paper: table 1", "not found in the card: FLOPs"],
        ONE,
        verdict(arms=TWO, reported=REPORTED, searched="the card"),
    ),
    (STATED, "yes", ["stated: FLOPs, paper"], ONE, verdict(arms=TWO, reported={"FLOPs": "paper"})),
    (
        STRONG,
        "no",
        [
            "RIVAL: 10 updates a problem",
            "headline arm with its outer loop: at least 482 updates a problem (shared by the 200 problems examined)",
        ],
        ONE,
        verdict(arms=TWO, decomposition=[LEAST]),
    ),
    (
        STRONG,
        "yes",
        ["RIVAL: 10 updates a problem", "headline arm with its outer loop: 10 updates a problem"],
        ONE,
        verdict(arms=TWO, decomposition=[EQUAL]),
    ),
    (
        STRONG,
        "no",
        ["no conventional fine-tuning arm is among what was read"],
        ONE,
        verdict(arms=TWO[:1], decomposition=[EQUAL]),
    ),
    (
        STRONG,
        "cannot tell",
        ["RIVAL: number of updates not stated"],
        ONE,
        verdict(arms=[TWO[0], priced("rival", None)], decomposition=[EQUAL]),
    ),
    (
        STRONG,
        "cannot tell",
        ["RIVAL: 10 updates a problem", "the headline arm's number of updates is not stated"],
        ONE,
        verdict(arms=TWO, decomposition=[UNKNOWN]),
    ),
    (EARLIER, "cannot tell", ["the claim does not say"], ONE, verdict(arms=TWO)),
    (
        EARLIER,
        "no",
        [
            "the paper says so",
            "recomputed from the headline experiment: 122 of 323 answers that were right before are wrong",
        ],
        ONE.model_copy(update={"regressions": TOLD}),
        verdict(arms=TWO, stability=[broke("ours", 122, 323)]),
    ),
]


@pytest.mark.parametrize("case", ANSWERS, ids=lambda case: f"{case[0].split()[2]} {case[1]}")
def test_a_question_is_answered_like_this(case: Any) -> None:
    question, answer, evidence, asked, found = case
    row = next(row for row in questions.answer_all(asked, found) if row.question == question)
    assert (row.answer, row.evidence) == (answer, evidence)


def test_every_question_has_its_cases() -> None:
    asked = {row.question for row in questions.answer_all(ONE, verdict(arms=TWO))}
    assert asked == {case[0] for case in ANSWERS}
    assert {(case[0], case[1]) for case in ANSWERS} >= {
        (q, a) for q in (STEPS, STRONG) for a in ("yes", "no", "cannot tell")
    }
