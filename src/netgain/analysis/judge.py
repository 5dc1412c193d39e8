"""From a claim to its verdict: the one place where the analysis comes together."""

from netgain import __version__
from netgain.analysis import crossed, descriptive, findings, forgetting, reward, sentences
from netgain.analysis.chosen import chosen_rows
from netgain.analysis.comparisons import comparisons
from netgain.analysis.coverage import coverage_rows
from netgain.analysis.decomposition import deciding_row, decompositions
from netgain.analysis.deployments import amortisations, break_even_rows
from netgain.analysis.details import details
from netgain.analysis.evidence import Evidence
from netgain.analysis.matching import Contest, contests
from netgain.analysis.policy_curves import loop_rows
from netgain.analysis.rows import AnswersRow, DomainRow, GradeRow
from netgain.analysis.verdict import (
    Comparison,
    DecompositionRow,
    Headline,
    RetentionTable,
    Verdict,
    primary_row,
)
from netgain.errors import InputError
from netgain.records.claim import BEST_CONVENTIONAL, UNTRAINED, Claim, GradeName, Terms

NOTES = (
    "All work counts but the exams: writing, training, scoring, the teacher, rejected and failed work. Tuning is "
    "reported beside it; every arm may try as many settings.",
    "An arm that reads at the exam pays for every question instead; what a question takes stands beside what training "
    "takes. Control questions are about the weights: it is asked them without what it reads.",
    "Rivals are all trained arms that are not self-improving. An arm counts as ahead only where it is ahead of every "
    "one of them: the largest of the one-sided p values is at most 2.5 % (an intersection-union test). Beside that "
    "stand the rival that was chosen on development problems, and the rival chosen on other test problems and seeds "
    "than it is compared on. A perfect writer, the arms that read the text at the exam and the frozen model are no "
    "rivals.",
    "Between two budget levels accuracy is taken as linear in the logarithm of compute, question by question; "
    "beyond the lowest and the highest nothing is said.",
)


def judge(claim: Claim, *, seed: int = 0, asked: list[tuple[str, str]] | None = None) -> Verdict:
    """What the claim's records support; an unfinished trial is judged on what is there and says so.

    Same claim and seed, same verdict, in whatever order the arms are written. ``asked`` adds comparisons by arm name or
    label to a published claim; a trial's were fixed before it ran. The four questions and the checks of published
    claims are the audit's; here they stay empty. Raises InputError for a comparison that cannot be made.
    """
    if asked and claim.terms:
        raise InputError(claim.name, "is a trial: its comparisons were fixed before it ran", "read them in its verdict")
    evidence = Evidence.of(claim, seed)
    tested = contests(evidence)
    arm_rows = descriptive.arm_rows(evidence)
    labels = {row.name: row.label for row in arm_rows}
    compared = comparisons(evidence, tested, asked or ())
    parts = decompositions(evidence, tested)
    training = {arm.name for arm in claim.arms if arm.role not in UNTRAINED}
    unfit = findings.unfit_judge(evidence) if _decides(claim) == "judge" else ""
    rows = (parts, compared, labels, training, unfit)
    domains = [_domain(contest, claim.terms, *rows) for contest in tested if claim.terms]
    by_grade = {n: evidence if n == _decides(claim) else evidence.by(n) for n in _grades(claim)}
    held = {n: tested if found is evidence else contests(found) for n, found in by_grade.items()}
    grades = [row for n, of in by_grade.items() for row in _by_grade(n, of, held[n], claim.terms, labels, training)]
    retentions = [forgetting.retention_table(continual) for continual in claim.continual]
    verdict = Verdict(
        netgain=__version__,
        claim=claim.name,
        title=claim.title,
        paper=claim.paper,
        url=claim.url,
        licence=claim.licence,
        model=claim.model,
        tokens=claim.tokens,
        glossary=claim.glossary,
        seed=seed,
        headline=Headline(sentence="", details=[], kind="cannot tell"),
        arms=arm_rows,
        comparisons=compared,
        decomposition=parts,
        amortisation=amortisations(evidence, tested),
        rewards=reward.reward_rows(evidence),
        outer_loop=reward.outer_loop_rows(evidence),
        policy=list(claim.policy_runs),
        loops=loop_rows(evidence),
        stability=forgetting.stability_rows(evidence),
        abilities=forgetting.ability_rows(evidence),
        retention=_retention(retentions, claim),
        reported={kind: str(source) if source else None for kind, source in claim.reported.items()},
        searched=claim.searched,
        questions=[],
        findings=findings.of_trial(evidence, arm_rows, domains, compared, grades)
        if claim.terms
        else list(claim.findings),
        notes=[*claim.notes, *(NOTES if claim.terms else ()), *_repeats(evidence)],
        terms=claim.terms,
        domains=domains,
        grades=grades,
        answers=_answers(evidence, by_grade),
        coverage=coverage_rows(evidence),
        break_even=break_even_rows(evidence, tested),
        regimes=descriptive.regime_rows(evidence, tested),
        bounds=descriptive.bound_rows(evidence),
        spread=descriptive.spread_rows(evidence),
        compute=descriptive.compute_rows(evidence),
        card=descriptive.card_rows(evidence),
        reading=descriptive.reading_rows(evidence),
        retentions=retentions if evidence.domains else [],
        chosen=chosen_rows(evidence),
        shown=list(claim.shown),
        judging=claim.judging,
        setup=claim.setup,
    )
    told = [text for _, text in details(verdict)]
    headline = sentences.headline(verdict).model_copy(update={"details": told})
    return verdict.model_copy(update={"headline": headline})


def _decides(claim: Claim) -> GradeName:
    return claim.terms.grade if claim.terms else "exact"


def _grades(claim: Claim) -> list[GradeName]:
    """The grades that every answer of a trial was given; none where the record is older than they."""
    runs = [run for arm in claim.arms if arm.trial for run in arm.trial.runs]
    return [name for name in runs[0].grades if all(name in run.grades for run in runs)] if runs else []


def _by_grade(
    name: GradeName,
    evidence: Evidence,
    tested: list[Contest],
    terms: Terms | None,
    labels: dict[str, str],
    training: set[str],
) -> list[GradeRow]:
    """The verdict on each domain by one grade, in the trial's own currency; the rival that was chosen stays it."""
    if terms is None:
        return []
    rows, unfit = [], findings.unfit_judge(evidence) if name == "judge" else ""
    for contest in tested:
        part = deciding_row(evidence, contest, terms.currency)
        parts = [part] if part.budget_per_problem else []
        found = _domain(contest, terms, parts, [], labels, training, unfit)
        difference = part.method_part if part.budget_per_problem else None
        told = {"kind": found.kind, "sentence": found.sentence, "difference": difference}
        rows.append(GradeRow(setting=contest.setting, grade=name, decides=name == terms.grade, **told))
    return rows


def _answers(evidence: Evidence, by_grade: dict[GradeName, Evidence]) -> list[AnswersRow]:
    """Every arm as it is compared, by every grade."""
    rows = []
    for setting, arm in ((s, arm) for s in evidence.settings for arm in evidence.own(s)) if by_grade else ():
        found = {name: other.accuracy(arm, other.exam) for name, other in by_grade.items()}
        scores = {name: score for name, score in found.items() if score}
        trial = evidence.trial(arm)
        rows.append(AnswersRow(setting=setting, arm=arm, scores=scores, empty=trial.empty, cut=trial.cut))
    return rows


def _domain(
    contest: Contest,
    terms: Terms,
    parts: list[DecompositionRow],
    compared: list[Comparison],
    labels: dict[str, str],
    training: set[str],
    unfit: str = "",
) -> DomainRow:
    """The verdict on one domain of a trial, in the trial's own currency. ``training``: the arms that are trained, whose
    luck it takes several runs to see. ``unfit``: why the judge whose verdicts are the grades is none."""
    row = primary_row([row for row in parts if row.currency == terms.currency], contest.arm)
    mine = [found for found in compared if found.exam == terms.exam]
    kind = sentences.judgement(row, fixed=terms.against != BEST_CONVENTIONAL)
    runs, trained = sentences.runs_of(row), {contest.arm, row.rival if row else None} & training
    if trained and kind != "cannot tell" and (runs or 0) < crossed.FEWEST_RUNS:
        kind = "too few runs"
    told = sentences.sentence(kind, row, contest.arm, labels, mine)
    if unfit:
        kind, told = "cannot tell", f"The grades are a judge's that cannot tell right from wrong: {unfit}. Cannot tell."
    if lacking := terms.missing.get(contest.setting, 0):
        kind, told = "cannot tell", sentences.survivors(lacking)
    return DomainRow(
        setting=contest.setting,
        primary=contest.setting == terms.setting,
        arm=contest.arm,
        rival=contest.chosen,
        chosen_on=contest.chosen_on,
        frozen=contest.frozen,
        sentence=told,
        kind=kind,
        p_equivalent=row.worst_case.p_equivalent if row and row.worst_case else None,
        n_problems=row.n_problems if row else None,
        n_seeds=row.n_seeds if row else None,
        method=crossed.method((row.n_seeds if row else None) or 1),
    )


def _retention(tables: list[RetentionTable], claim: Claim) -> RetentionTable | None:
    """That of the arm under test, else the first."""
    name = f"{claim.terms.setting}/{claim.terms.compare}" if claim.terms else ""
    return next((table for table in tables if table.name == name), next(iter(tables), None))


def _repeats(evidence: Evidence) -> list[str]:
    count = evidence.table.repeated
    if not count:
        return []
    return [
        f"{count} questions are asked twice, word for word, about the same passage; they count twice in the "
        "accuracies (as published) and once in every comparison."
    ]
