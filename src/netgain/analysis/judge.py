"""From a claim to its verdict: the one place where the analysis comes together."""

from netgain import __version__
from netgain.analysis import compare, gap, rows, sentences
from netgain.analysis.evidence import Evidence
from netgain.analysis.trial.judge import judge_trial
from netgain.analysis.verdict import Verdict
from netgain.records.claim import Claim


def judge(claim: Claim, *, seed: int = 0, asked: list[tuple[str, str]] | None = None) -> Verdict:
    """What the claim's records support. ``asked`` adds comparisons by arm name or label.

    Same claim and seed, same verdict. The four questions and the checks are the audit's; here they stay empty.
    Raises InputError for a comparison with an arm that does not exist. A claim with terms is a trial's and is judged as
    such; its comparisons were fixed before it ran, and none can be asked for.
    """
    if claim.terms is not None:
        return judge_trial(claim, seed=seed)
    evidence = Evidence.of(claim, seed)
    arms = rows.arm_rows(evidence)
    compared = compare.comparisons(evidence, asked or [])
    parts = gap.decompositions(evidence)
    rewards, stability = rows.reward_rows(evidence), rows.stability_rows(evidence)
    retention = rows.retention_table(claim.continual[0]) if claim.continual else None
    headline = sentences.headline(arms, parts, compared, claim.headline)
    labels = {arm.name: arm.label for arm in arms}
    invests = claim.arm(claim.headline).invests if claim.headline else ()
    more = [
        sentences.bill_sentence(parts, arms, claim.headline),
        sentences.reward_sentence(rewards, invests),
        sentences.stability_sentence(stability, labels, claim.headline, retention),
    ]
    details = [*headline.details, *(sentence for sentence in more if sentence)]
    return Verdict(
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
        headline=headline.model_copy(update={"details": details}),
        arms=arms,
        comparisons=compared,
        decomposition=parts,
        amortisation=gap.amortisations(evidence),
        rewards=rewards,
        outer_loop=rows.outer_loop_rows(evidence),
        stability=stability,
        retention=retention,
        reported={kind: str(source) if source else None for kind, source in claim.reported.items()},
        questions=[],
        findings=list(claim.findings),
        notes=[*claim.notes, *_repeats(evidence)],
        setup=claim.setup,
    )


def _repeats(evidence: Evidence) -> list[str]:
    count = evidence.answers.repeated
    if not count:
        return []
    return [
        f"{count} questions are asked twice, word for word, about the same passage; they count twice in the "
        "accuracies (as published) and once in every comparison."
    ]
