"""What a reader of a comparison should know. A check is a pure function that says nothing where it has nothing to say.

Severity: ``high`` can by itself overturn the verdict, ``medium`` weakens it, ``low`` should be mended, ``note`` is for
information. Here are the checks of trials: what is missing or unmatched, and whether their domains can show anything at
all. Those of published claims are the audit's.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from netgain.analysis import policy_curves
from netgain.analysis.crossed import FEWEST_RUNS
from netgain.analysis.evidence import Evidence
from netgain.analysis.matching import best_of, closed_book, conventional, equally_best
from netgain.analysis.rows import DomainRow, GradeRow, HeadlineKind
from netgain.analysis.sentences import GRADES, interval
from netgain.analysis.verdict import ArmRow, Comparison
from netgain.records.claim import UNTRAINED, Finding, Role, Severity, TrialArm

CHANCE, READS = 0.2, 0.9
UNREADABLE = 0.05  # of a judge's verdicts: more than that is told
MISTAKEN = 0.2  # of the planted answers of either kind: a judge that is wrong about more is no judge
UNFINISHED = 0.2  # of an arm's answers empty or cut, of its choices refused: more than that is told
STANDS: dict[HeadlineKind, str] = {
    "method": "is ahead of every conventional arm",
    "unmatched": "is ahead only of arms that were given less",
    "rival ahead": "is behind",
    "nothing left": "is neither ahead nor behind",
    "no difference": "is as good as the best",
    "no gain": "gains nothing over the frozen model that is distinguishable from zero",
}
AHEAD: tuple[HeadlineKind, ...] = ("method", "unmatched")
INVENTED = ("people",)
ORDER: Sequence[Severity] = ("high", "medium", "low", "note")


def finding(check: str, severity: Severity, message: str, evidence: Iterable[str] = ()) -> Finding:
    """A finding with its lines of evidence, empty ones left out."""
    return Finding(check=check, severity=severity, message=message, evidence=tuple(line for line in evidence if line))


def severest_first(found: Iterable[Finding]) -> list[Finding]:
    """Findings by severity, else in the order in which they were made."""
    return sorted(found, key=lambda finding: ORDER.index(finding.severity))


def of_trial(
    evidence: Evidence,
    arms: list[ArmRow],
    domains: list[DomainRow],
    compared: list[Comparison],
    grades: Sequence[GradeRow] = (),
) -> list[Finding]:
    """The findings of a trial's rows and of the analysis, the severest first."""
    return severest_first(
        [
            *evidence.claim.findings,
            *policy_curves.findings_of(evidence.claim),
            *_unfinished(evidence),
            *_underspent(arms),
            *_single_seeds(evidence),
            *_chosen_on_test(evidence, domains),
            *_tuned_less(evidence),
            *(found for setting in evidence.settings for found in _domain_shows_nothing(evidence, setting)),
            *_judge_unreadable(evidence),
            *_judge_mistaken(evidence),
            *_rubric_unreadable(evidence),
            *_grade_changes_the_answer(grades, domains, {arm.name: arm.label for arm in arms}),
            *_no_whole_answers(evidence),
            *_nothing_chosen(evidence),
            *_small_differences_unseen(compared, {arm.name: arm.label for arm in arms}),
        ]
    )


def _trained(evidence: Evidence) -> Iterator[tuple[str, TrialArm]]:
    """Every trained arm at its own budget level, named by domain and label."""
    for arm in evidence.claim.arms:
        trial = evidence.trial(arm.name)
        if trial.own and arm.role not in UNTRAINED:
            yield f"{arm.setting}, {arm.label}", trial


def _unfinished(evidence: Evidence) -> Iterator[Finding]:
    terms = evidence.claim.terms
    if terms and terms.runs_done < terms.runs_planned:
        lines = [
            f"{arm.setting}, {arm.label}: {len(evidence.trial(arm.name).runs)} of {terms.seeds} seeds, "
            f"{arm.n_problems} of {terms.test_problems} problems"
            for arm in evidence.claim.arms
            if evidence.trial(arm.name).own and arm.role not in UNTRAINED
        ]
        setup = evidence.claim.setup
        failed = dict(line.partition(": ")[::2] for line in setup.history.failed) if setup and setup.history else {}
        lines += [f"{task} failed: {reason}" for task, reason in failed.items()]  # the latest of each
        yield finding("unfinished", "high", f"unfinished: {terms.runs_done} of {terms.runs_planned} runs", lines)


def _underspent(arms: list[ArmRow]) -> Iterator[Finding]:
    short = [arm for arm in arms if arm.underspent and arm.own]
    if short:
        lines = [f"{arm.setting}, {arm.label}: {arm.spent_share or 0:.1%} of its budget" for arm in short]
        whose = "arm left more than 1 % of its" if len(short) == 1 else "arms left more than 1 % of their"
        yield finding("underspent", "low", f"{len(short)} {whose} budget unspent", lines)


def _tuned_less(evidence: Evidence) -> Iterator[Finding]:
    """Arms that had fewer tuning trials than another: there was nothing more to try in them."""
    tries = Counter(search.arm for search in evidence.claim.searches)
    most = max(tries.values(), default=0)
    fewer = [
        f"{name}: {tries[key]} of {most}"
        for name, trial in _trained(evidence)
        if tries[key := f"{name.partition(', ')[0]}/{trial.method}"] < most
    ]
    if fewer:
        yield finding(
            "tuned-less",
            "note",
            f"{len(fewer)} arm{'' if len(fewer) == 1 else 's'} had fewer tuning trials than others",
            fewer,
        )


def _single_seeds(evidence: Evidence) -> Iterator[Finding]:
    few = [f"{name}: {len(trial.runs)}" for name, trial in _trained(evidence) if len(trial.runs) < FEWEST_RUNS]
    if few:
        whose = "arm was run under fewer" if len(few) == 1 else "arms were run under fewer"
        message = f"{len(few)} {whose} than {FEWEST_RUNS} seeds: their figures stand, no verdict is given on them"
        yield finding("single-seed", "medium", message, few)


def _chosen_on_test(evidence: Evidence, domains: list[DomainRow]) -> Iterator[Finding]:
    terms, lines = evidence.claim.terms, []
    for row in domains:
        if terms and row.chosen_on == "test":
            among = equally_best(evidence, conventional(evidence, row.setting, terms))
            reached = evidence.trial(among[0]).development
            equal = f"{len(among)} arms reach {reached or 0:.1%} on the development problems, and none more"
            lines.append(f"{row.setting}: {'no accuracy on development is known' if reached is None else equal}")
    if lines:
        message = "the rival was chosen on the test problems, which favours it: development problems could not tell"
        yield finding("rival-chosen-on-test", "medium", message, lines)


def _judge_unreadable(evidence: Evidence) -> Iterator[Finding]:
    found = evidence.claim.judging
    asked = found.count + found.unreadable if found else 0
    if found is not None and found.unreadable > UNREADABLE * asked:
        message = f"{found.unreadable:,} of {asked:,} verdicts of the judge could not be read"
        message += "; there exact match stands" if found.decides else ""
        yield finding("judge-unreadable", "high" if found.decides else "medium", message, [f"judge: {found.model}"])


def _rubric_unreadable(evidence: Evidence) -> Iterator[Finding]:
    """Outer loops whose judge often gave no rating: what was left out may be what it had trouble with."""
    lines = [
        f"{run.name}: {run.unread:,} beside {run.problems * run.edits:,} edits that were rated"
        for run in evidence.claim.reward_runs
        if run.unread > UNREADABLE * (run.unread + run.problems * run.edits)
    ]
    if lines:
        message = "ratings of edits that could not be read were left out of the rewards"
        yield finding("rubric-unreadable", "medium", message, lines)


def unfit_judge(evidence: Evidence) -> str:
    """Why no verdict rests on the judge's; empty where one may, or nothing is known of it."""
    found = evidence.claim.judging
    if found is None or found.mistaken <= MISTAKEN:
        return ""
    told = f"it accepted {found.accepted:,} of {found.planted_wrong:,} answers that are wrong"
    return f"{told} and rejected {found.rejected:,} of {found.planted_right:,} that are right"


def _judge_mistaken(evidence: Evidence) -> Iterator[Finding]:
    found, told = evidence.claim.judging, unfit_judge(evidence)
    if found is not None and told:
        message = f"the judge cannot tell right from wrong: of planted answers {told}"
        message += "; no verdict is given by it" if found.decides else ""
        yield finding("judge-mistaken", "high" if found.decides else "medium", message, [f"judge: {found.model}"])


def _grade_changes_the_answer(
    grades: Sequence[GradeRow], domains: list[DomainRow], labels: dict[str, str]
) -> Iterator[Finding]:
    """The same answers, graded otherwise, give another verdict: the opposite one where severity is high."""
    for domain in domains:
        mine = [row for row in grades if row.setting == domain.setting and row.kind in STANDS]
        first = next((row for row in mine if row.decides), None)
        unlike = [row for row in mine if first and row.kind != first.kind]
        if first is None or not unlike or domain.arm is None:
            continue
        pairs = [{first.kind, row.kind} for row in unlike]
        opposite = any("rival ahead" in pair and pair & set(AHEAD) for pair in pairs)
        told = [f"under {GRADES[row.grade]} it {STANDS[row.kind]}" for row in unlike]
        message = f"{domain.setting}: under {GRADES[first.grade]} {labels[domain.arm]} {STANDS[first.kind]}"
        lines = [f"{GRADES[row.grade]}: {interval(row.difference)} points" for row in mine if row.difference]
        severity: Severity = "high" if opposite else "medium"
        yield finding("grade-changes-the-answer", severity, f"{message}, {', '.join(told)}", lines)


def _no_whole_answers(evidence: Evidence) -> Iterator[Finding]:
    """Arms whose exam measures the form of answers: many are empty, or end where no more tokens were allowed."""
    known = [(arm, evidence.trial(arm.name)) for arm in evidence.claim.arms if evidence.trial(arm.name).own]
    lines = [
        f"{arm.setting}, {arm.label}: {trial.empty:.0%} empty, {trial.cut:.0%} cut"
        for arm, trial in known
        if trial.empty is not None and trial.cut is not None and max(trial.empty, trial.cut) > UNFINISHED
    ]
    if lines:
        whose = "arm gave" if len(lines) == 1 else "arms gave"
        message = f"{len(lines)} {whose} many answers that are empty, or cut at the length that is allowed"
        yield finding("empty-or-cut", "medium", f"{message}: they are graded as they are", lines)


def _nothing_chosen(evidence: Evidence) -> Iterator[Finding]:
    """Arms that chose nothing they could be trained with for many tasks: they are then the untouched model."""
    lines = []
    for name, trial in _trained(evidence):
        last: dict[tuple[int, str], bool] = {}
        for one in trial.chosen:
            last.setdefault((one.seed, one.problem), bool(one.refused))  # the first is what was trained with
        share = sum(last.values()) / len(last) if last else 0.0
        if share > UNFINISHED:
            lines.append(f"{name}: {share:.0%} of {len(last)} adaptations")
    if lines:
        whose = "arm chose" if len(lines) == 1 else "arms chose"
        message = (
            f"{len(lines)} {whose} nothing for many tasks that could be trained with: there the model is untouched"
        )
        yield finding("nothing-chosen", "medium", message, lines)


def _small_differences_unseen(compared: list[Comparison], labels: dict[str, str]) -> Iterator[Finding]:
    row = next((row for row in compared if row.primary), None)
    if row is None or row.low is None or row.high is None or not row.low <= 0 <= row.high:
        return
    if (row.n_seeds or 0) < FEWEST_RUNS:
        return  # how much luck there is in a run is not known
    if row.smallest_detectable is not None and row.smallest_detectable > (row.equivalence_margin or 0.0):
        message = (
            f"{labels[row.a]} against {labels[row.b]}: this many seeds and problems detect a difference of "
            f"{100 * row.smallest_detectable:.1f} points with 80 % power, and smaller ones less often"
        )
        yield finding("small-differences-unseen", "note", message)


def _domain_shows_nothing(evidence: Evidence, setting: str) -> Iterator[Finding]:
    """Is there something to learn, can the model read, does training teach it? Is there room above the passage?"""
    terms, kind, reasons = evidence.claim.terms, evidence.exam, []
    frozen = next(iter(evidence.own(setting, Role.FROZEN)), None)
    base = evidence.accuracy(frozen, kind) if frozen else None
    if base and terms and terms.worlds.get(setting) in INVENTED and base.low > CHANCE:
        reasons.append(f"the frozen model already knows the answers: {base.value:.1%}, chance is below {CHANCE:.0%}")
    shown = terms is not None and setting in terms.few_shot  # where examples are shown, to adapt is more than to read
    for name in [] if shown else evidence.own(setting, Role.IN_CONTEXT)[:1]:
        read = evidence.accuracy(name, kind)
        if read and read.value < READS:
            reasons.append(f"with the text at hand the model answers only {read.value:.1%}, below {READS:.0%}")
    passages = [name for name in closed_book(evidence, setting) if evidence.arms[name].role is Role.PASSAGE]
    passage = best_of(evidence, passages)[0] if passages else None
    gain = evidence.over(passage, frozen) if passage and frozen else None
    if gain and gain.low <= 0 and _enough(evidence, passage):
        told = interval(gain)
        reasons.append(f"training on the passage adds {told} points over the frozen model, not clearly more than zero")
    teachers = evidence.own(setting, Role.TEACHER) if terms and terms.oracle else []
    room = evidence.over(best_of(evidence, teachers)[0], passage) if passage and teachers else None
    if room and room.low <= 0 and _enough(evidence, passage):
        message = f"{setting}: a perfect writer's text is not clearly better than the passage: writers have little room"
        line = f"a perfect writer's text adds {interval(room)} points over the passage"
        yield finding("no-room-to-win", "medium", message, [line])
    if reasons:
        yield finding(
            "world-is-no-test", "high", f"{setting}: this domain may not be able to show self-improvement", reasons
        )


def _enough(evidence: Evidence, *names: str | None) -> bool:
    """Whether these arms were run often enough for a verdict on them."""
    return all(name is None or len(evidence.trial(name).runs) >= FEWEST_RUNS for name in names)
