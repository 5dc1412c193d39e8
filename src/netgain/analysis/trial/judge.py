"""From the rows of a trial, or from its claim, to the verdict: the counterpart of :mod:`netgain.analysis.judge`."""

from collections.abc import Iterable, Mapping

from netgain import __version__
from netgain.analysis import crossed, sentences
from netgain.analysis import rows as audit_rows
from netgain.analysis.costs import TRIAL_CURRENCIES
from netgain.analysis.trial import compare, findings, gap, rows, words
from netgain.analysis.trial.choice import Chosen, choose_rival
from netgain.analysis.trial.evidence import TrialEvidence
from netgain.analysis.trial.gap import Duel
from netgain.analysis.trial.shape import DomainRow
from netgain.analysis.verdict import Comparison, DecompositionRow, Headline, RetentionTable, Verdict
from netgain.errors import InputError
from netgain.records.claim import BEST_CONVENTIONAL, Claim, Role, Terms
from netgain.records.provenance import RunSetup
from netgain.records.samples import Row
from netgain.trials.spec import TrialSpec
from netgain.trials.trial_claim import claim_of

NOTES = (
    "All work counts but the exams: writing, training, scoring, the teacher, rejected and failed work. Tuning is "
    "reported beside it; every arm may try as many settings.",
    "The best conventional arm is chosen on development problems among the trained arms that are not self-improving; "
    "a perfect writer, the arms that read the text at the exam and the frozen model are shown, but are no rivals.",
    "Between two rungs of a ladder accuracy is taken as linear in the logarithm of compute, question by question; "
    "beyond its ends nothing is said.",
)


def judge_run(
    spec: TrialSpec,
    outcomes: Iterable[Row],
    *,
    roles: Mapping[str, Role] | None = None,
    device: str = "",
    setup: RunSetup | None = None,
    seed: int = 0,
) -> Verdict:
    """The verdict on a trial from its rows; an unfinished one is judged on what is there and says so.

    ``roles`` gives each method's role by name (``Method.role``); what it does not name is guessed from the name;
    ``setup`` is what the run's folder says of its circumstances (``Store.setup``).
    """
    claim = claim_of(spec, outcomes, roles, device).model_copy(update={"setup": setup})
    return judge_trial(claim, seed=seed)


def judge_trial(claim: Claim, *, seed: int = 0) -> Verdict:
    """The verdict on the claim of a trial. Same claim and seed, same verdict. Raises InputError for another claim."""
    if claim.terms is None:
        raise InputError(claim.name, "is not the claim of a trial: it has no terms", "judge it as a published claim")
    trial = TrialEvidence.of(claim, claim.terms, seed)
    arms = rows.arm_rows(trial)
    duels, chosen = _duels(trial)
    compared = compare.comparisons(trial, duels)
    parts = [row for duel in duels for row in gap.decompositions(trial, duel, TRIAL_CURRENCIES)]
    evens = [row for duel in duels for c in TRIAL_CURRENCIES if (row := gap.break_even(trial, duel, c))]
    labels = {arm.name: arm.label for arm in arms}
    domains = [_domain(trial, duel, chosen[duel.setting], parts, compared, labels) for duel in duels]
    retentions = [audit_rows.retention_table(continual) for continual in claim.continual]
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
        arms=arms,
        comparisons=compared,
        decomposition=parts,
        amortisation=[],
        rewards=audit_rows.reward_rows(trial.evidence),
        outer_loop=[],
        stability=rows.stability_rows(trial),
        retention=_retention(retentions, claim.terms),
        reported={},
        questions=[],
        findings=findings.findings(trial, arms, domains, compared),
        notes=[*claim.notes, *NOTES],
        terms=claim.terms,
        domains=domains,
        break_even=evens,
        regimes=[row for duel in duels for row in rows.regime_rows(trial, duel)],
        spread=rows.spread_rows(trial),
        compute=rows.compute_rows(trial),
        card=rows.card_rows(trial),
        retentions=retentions,
        judging=claim.judging,
        setup=claim.setup,
    )
    return verdict.model_copy(update={"headline": _headline(trial, verdict)})


def _duels(trial: TrialEvidence) -> tuple[list[Duel], dict[str, Chosen]]:
    """Of each domain the arm under test with its rival, and how the rival was chosen."""
    duels, chosen = [], {}
    for setting in trial.settings:
        arm = trial.own(setting).get(trial.terms.compare)
        if arm is not None:
            rival, chosen[setting] = choose_rival(trial, setting)
            duels.append(Duel(setting, arm, rival if rival != arm else None, trial.frozen(setting)))
    return duels, chosen


def _domain(
    trial: TrialEvidence,
    duel: Duel,
    chosen: Chosen,
    parts: list[DecompositionRow],
    compared: list[Comparison],
    labels: dict[str, str],
) -> DomainRow:
    terms = trial.terms
    mine = [row for row in parts if row.arm == duel.arm and row.currency == terms.currency]
    row = next((row for row in mine if row.basis == "with outer loop"), None)
    ends = (duel.arm, duel.rival, terms.exam)
    comparison = next((found for found in compared if (found.a, found.b, found.exam) == ends), None)
    equivalent = comparison.p_equivalent if comparison else None
    kind = words.judgement(row, equivalent, fixed=terms.against != BEST_CONVENTIONAL)
    rival = labels[duel.rival] if duel.rival else "any rival"
    return DomainRow(
        setting=duel.setting,
        primary=duel.setting == terms.setting,
        arm=duel.arm,
        rival=duel.rival,
        chosen_on=chosen,
        frozen=duel.frozen,
        sentence=words.sentence(kind, row, labels[duel.arm], rival, comparison),
        kind=kind,
        p_equivalent=equivalent,
        n_problems=row.n_problems if row else None,
        n_seeds=row.n_seeds if row else None,
        method=crossed.SEVERAL if row and (row.n_seeds or 1) > 1 else crossed.SINGLE,
    )


def _retention(tables: list[RetentionTable], terms: Terms) -> RetentionTable | None:
    mine = (table for table in tables if table.name == f"{terms.setting}/{terms.compare}")
    return next(mine, next(iter(tables), None))


def _headline(trial: TrialEvidence, verdict: Verdict) -> Headline:
    """The primary domain's sentence, then the other domains' and what follows."""
    terms, labels = trial.terms, {arm.name: arm.label for arm in verdict.arms}
    first = next((row for row in verdict.domains if row.primary), None)
    nothing = f"There is nothing to judge yet: {terms.compare} was not examined in {terms.setting}. Cannot tell."
    mine = {arm.name for arm in verdict.arms if arm.method == terms.compare and arm.setting == terms.setting}
    parts = [row for row in verdict.decomposition if row.setting == terms.setting]
    evens = [row for row in verdict.break_even if (row.setting, row.currency) == (terms.setting, terms.currency)]
    invests = {name for name in mine for name in trial.arms[name][0].invests}
    own = [row for row in verdict.rewards if any(row.arm.startswith(name.split(" ")[0] + " ") for name in invests)]
    spread = next((row for row in verdict.spread if row.arm in mine), None)
    details = [
        *words.other_domains(verdict.domains),
        *(words.break_even_sentence(row, labels) for row in evens),
        words.currency_sentence(parts, terms),
        words.spread_sentence(spread, labels),
        words.control_sentence(verdict.stability, labels, sorted(mine, key=lambda name: not verdict.arm(name).own)),
        sentences.reward_sentence(own, ()),
        words.judging_sentence(verdict.judging),
    ]
    return Headline(
        sentence=words.unfinished(terms) + (first.sentence if first else nothing),
        details=[detail for detail in details if detail],
        kind=first.kind if first else "cannot tell",
    )
