"""Several folders as one claim: which holds the treated arm, which the baseline, which the frozen model.

A folder's training log says what was done, its evaluation logs say what came of it: together they are one arm. Nothing
is joined by guess. Where a folder holds several runs, which of them was examined is not known, and is said.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple, final

from pydantic import Field

from netgain import SOFTWARE
from netgain.errors import InputError, nearest
from netgain.records.claim import Arm, Charge, Claim, Exam, Finding, Name, Purpose, Role
from netgain.records.cost import Cost
from netgain.records.provenance import Source, StrictModel

Charges = dict[str, list[Charge]]


@final
class JoinedArm(StrictModel):
    """An arm of a joining card: the folders (relative to the card) that hold its training log and its evaluations."""

    folders: Annotated[tuple[str, ...], Field(min_length=1)]
    role: Role | None = None


@final
class JoiningCard(StrictModel):
    """A card that joins folders: which is the headline (treated) arm, which its rival (baseline), which is frozen."""

    title: str = ""
    headline: str
    rival: str | None = None
    frozen: str | None = None
    arms: Annotated[dict[Name, JoinedArm], Field(min_length=2)]


def joins_folders(path: Path) -> bool:
    """Whether a YAML card joins folders instead of stating figures."""
    try:
        return bool(re.search(r"^[^#\n]*\bfolders:", path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE))
    except OSError:
        return False


@final
class JoinedPart(NamedTuple):
    """What was read of one arm's folders. ``role`` is what the person who asks says it is, None where nothing is."""

    name: str
    claims: tuple[Claim, ...]
    role: Role | None = None


def one_folder(claims: Sequence[Claim]) -> Claim:
    """What several readers found in one folder: logs of the same run as one, and the run with its evaluations."""
    if len(claims) == 1:
        return claims[0]
    arms, charges, findings = _gathered(claims)
    runs = [arm for arm in arms if _is_trained(charges[arm.name])]
    others = [arm for arm in arms if arm not in runs]
    examined = any(_is_examined(arm) for arm in others)
    if len(runs) > 1 and _one_run_a_reader(claims):
        runs = _same_run(runs, charges, findings)
    if examined and len(runs) == 1:
        run = runs.pop()
        done = charges.pop(run.name)
        for arm in filter(_is_examined, others):
            charges[arm.name] += [charge.model_copy(update={"arm": arm.name}) for charge in done]
        others = [_trained(arm, run) if _is_examined(arm) else arm for arm in others]
    elif examined and runs:
        evidence = tuple(arm.name for arm in runs)
        message = f"{len(runs)} training runs lie beside these evaluations: which was examined is not known"
        findings.append(Finding(check="run-unknown", severity="medium", message=message, evidence=evidence))
    return _claim(claims, [*runs, *others], charges, findings)


def join(
    parts: Sequence[JoinedPart],
    *,
    treated: str | None = None,
    baseline: str | None = None,
    frozen: str | None = None,
    title: str = "",
) -> Claim:
    """The claim that these parts make together, each part's arms under its name.

    ``treated``, ``baseline`` and ``frozen`` name parts, or arms of them. Raises InputError for a name that there is not
    and for arms that have nothing in common.
    """
    claims: list[Claim] = []
    owners: dict[str, str] = {}
    for part in parts:
        claim = one_folder(part.claims)
        claims.append(_named(part, claim) if len(parts) > 1 or part.role else claim)
        owners |= {arm.name: part.name for arm in claims[-1].arms}
    arms, charges, findings = _gathered(claims)
    if len(parts) > 1:
        arms = _alike(arms)
    cold = _meant(frozen, "--frozen", arms, owners) if frozen else set()
    arms = [_frozen(arm, charges, frozen or "") if arm.name in cold else arm for arm in arms]
    headline, rival = _pair(arms, owners, treated, baseline)
    claim = _claim(claims, arms, charges, findings)
    kept = {"headline": headline or claim.headline, "rival": rival or (None if headline else claim.rival)}
    return claim.model_copy(update=kept | ({"title": title} if title else {}))


def folder_names(paths: Sequence[Path]) -> list[str]:
    """A short name for each folder: its own, with as much in front as tells them apart.

    Raises InputError for a folder that is given twice.
    """
    parts = [[part for part in path.resolve().parts if part != "/"] or ["folder"] for path in paths]
    for keep in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-keep:]) for part in parts]
        if len(set(names)) == len(names):
            return [name if name != "frozen" else "frozen model" for name in names]
    raise InputError(str(paths[0]), "a folder is given twice")


# -- arms


def _gathered(claims: Sequence[Claim]) -> tuple[list[Arm], Charges, list[Finding]]:
    """All arms, each with a name of its own, the charges of each, and all findings."""
    arms: list[Arm] = []
    charges: Charges = {}
    findings: list[Finding] = []
    for number, claim in enumerate(claims):
        for arm in claim.arms:
            name = arm.name if arm.name not in charges else f"{arm.name} ({claim.name} {number + 1})"
            exam = f"{number}: {arm.exam}" if arm.exam else None
            arms.append(arm.model_copy(update={"name": name, "exam": exam}))
            charges[name] = [c.model_copy(update={"arm": name}) for c in claim.charges if c.arm == arm.name]
        findings += claim.findings
    return arms, charges, findings


def _is_trained(charges: Iterable[Charge]) -> bool:
    return any(charge.purpose is not Purpose.EVALUATE for charge in charges)


def _is_examined(arm: Arm) -> bool:
    return arm.correct is not None or arm.accuracy is not None


def _named(part: JoinedPart, claim: Claim) -> Claim:
    """The claim with its arms under the part's name, and in the part's role."""
    several = len(claim.arms) > 1
    names = {arm.name: f"{part.name}: {arm.setting}" if several else part.name for arm in claim.arms}
    if len(set(names.values())) < len(names):
        names = {arm.name: f"{part.name}: {arm.name}" for arm in claim.arms}
    arms = [
        arm.model_copy(update={"name": names[arm.name], "label": names[arm.name], "role": part.role or arm.role})
        for arm in claim.arms
    ]
    charges = [c.model_copy(update={"arm": names.get(c.arm, c.arm)}) for c in claim.charges]
    lead, rival = (names.get(name or "") for name in (claim.headline, claim.rival))
    return claim.model_copy(update={"arms": tuple(arms), "charges": tuple(charges), "headline": lead, "rival": rival})


def _one_run_a_reader(claims: Sequence[Claim]) -> bool:
    """Whether each of several logs holds a single run: else which is which is not known."""
    return all(
        sum(1 for arm in claim.arms if _is_trained(c for c in claim.charges if c.arm == arm.name)) <= 1
        for claim in claims
    )


def _same_run(runs: list[Arm], charges: Charges, findings: list[Finding]) -> list[Arm]:
    """Several trackers' logs of one run as one: what the first does not say is taken from the next.

    Where they count steps and disagree they are not the same run, or one was cut off: then they stay apart.
    """
    costs = {arm.name: charges[arm.name][0].cost for arm in runs}
    if len({cost.updates for cost in costs.values() if cost.updates is not None}) > 1:
        evidence = tuple(f"{name}: {cost.updates} steps" for name, cost in costs.items())
        message = "several trackers logged here and count different numbers of steps: their runs are kept apart"
        findings.append(Finding(check="logs-disagree", severity="medium", message=message, evidence=evidence))
        return runs
    lead, *others = runs
    cost = costs[lead.name]
    for other in others:
        cost = _filled(cost, costs[other.name])
        known = lead.training is not None and any(lead.training.model_dump().values())
        lead = lead.model_copy(
            update={
                "model": lead.model or other.model,
                "training": lead.training if known else other.training,
                "accuracy": lead.accuracy if lead.accuracy is not None else other.accuracy,
                "curves": lead.curves or other.curves,
                "sources": (*lead.sources, *other.sources),
            }
        )
        del charges[other.name]
    charges[lead.name][0] = charges[lead.name][0].model_copy(update={"cost": cost})
    return [lead]


def _filled(cost: Cost, more: Cost) -> Cost:
    known = more.known() | cost.known()
    if known.get("tokens_padded", float("inf")) < known.get("tokens_real", 0.0):
        del known["tokens_padded"]
    return Cost(**known)


def _trained(arm: Arm, run: Arm) -> Arm:
    """An evaluation as the arm that the run made: what was measured outside it counts, not its own log."""
    return arm.model_copy(
        update={
            "training": run.training,
            "seeds": run.seeds,
            "curves": run.curves,
            "sources": (*arm.sources, *run.sources),
            "model": run.model or arm.model,
        }
    )


def _alike(arms: list[Arm]) -> list[Arm]:
    """Training runs without an exam stand in the only setting that there is."""
    settings = {arm.setting for arm in arms if arm.correct is not None or arm.n_questions is not None}
    if len(settings) != 1:
        return arms
    only = next(iter(settings))
    return [arm if _is_examined(arm) else arm.model_copy(update={"setting": only}) for arm in arms]


def _frozen(arm: Arm, charges: Charges, said: str) -> Arm:
    """The arm as the frozen model, which took nothing. Raises InputError where its files show a training run."""
    done = [c for c in charges[arm.name] if c.purpose is not Purpose.EVALUATE and c.cost.updates]
    if done:
        steps = done[0].cost.updates or 0.0
        raise InputError(f"--frozen {said}", f"its files show a training run of {steps:,.0f} updates", "name another")
    source = arm.sources[0] if arm.sources else Source(file=arm.name)
    nothing = Charge(arm=arm.name, purpose=Purpose.ADAPT, operation="none", problems=1, cost=Cost.zero(), source=source)
    charges[arm.name] = [nothing, *(c for c in charges[arm.name] if c.purpose is Purpose.EVALUATE)]
    return arm.model_copy(update={"role": Role.FROZEN, "seeds": None})


# -- who is who


def _meant(word: str, option: str, arms: Sequence[Arm], owners: dict[str, str]) -> set[str]:
    """The arms that a word names: all of a part, all of an evaluated model (whose label begins with it), or one."""
    wanted = word.lower().rstrip("/")

    def called(arm: Arm) -> set[str]:
        label = arm.label.lower()
        return {owners.get(arm.name, "").lower(), arm.name.lower(), label, label.partition(": ")[0], arm.model.lower()}

    found = {arm.name for arm in arms if wanted in called(arm)}
    if not found:
        valid = [*dict.fromkeys([*owners.values(), *(arm.name for arm in arms)])]
        raise InputError(f"{option} {word}", "is neither a folder nor an arm here", nearest(word, valid))
    return found


def _pair(
    arms: Sequence[Arm], owners: dict[str, str], treated: str | None, baseline: str | None
) -> tuple[str | None, str | None]:
    """Of the treated and of the baseline one arm each, in the setting that both have with the most questions."""
    if treated is None:
        if baseline is not None:
            raise InputError(f"--baseline {baseline}", "needs --treated NAME as well")
        return None, None
    mine = [arm for arm in arms if arm.name in _meant(treated, "--treated", arms, owners)]
    if baseline is None:
        return max(mine, key=lambda arm: (arm.n_questions or 0, _is_examined(arm))).name, None
    theirs = _meant(baseline, "--baseline", arms, owners)
    pairs = [
        (left, right)
        for left in mine
        for right in arms
        if right.name in theirs and right.setting == left.setting and right.name != left.name
    ]
    if not pairs:
        settings = ", ".join(sorted({arm.setting for arm in mine}))
        problem = f"--baseline {baseline} has nothing in the same setting ({settings})"
        raise InputError(f"--treated {treated}", problem, "evaluate both on the same task by the same metric")
    left, right = max(pairs, key=lambda pair: (pair[0].n_questions or 0, _is_examined(pair[0])))
    return left.name, right.name


# -- the claim


def _claim(claims: Sequence[Claim], arms: Sequence[Arm], charges: Charges, findings: Sequence[Finding]) -> Claim:
    """One claim from the parts of several; exams keep a name of their own, since arms are joined by question."""
    names = {arm.name for arm in arms}
    exams = [
        Exam(name=f"{number}: {exam.name}", problems=exam.problems)
        for number, claim in enumerate(claims)
        for exam in claim.exams
    ]
    loops = [c for claim in claims for c in claim.charges if all(c.arm != arm.name for arm in claim.arms)]
    models = {claim.model for claim in claims if claim.model}
    reported: dict[str, Source | None] = {}
    for claim in claims:
        for kind, source in claim.reported.items():
            reported[kind] = reported.get(kind) or source
    lead = next((claim.headline for claim in claims if claim.headline in names), None)
    rival = next((claim.rival for claim in claims if claim.rival in names), None)
    return Claim(
        name="+".join(dict.fromkeys(claim.name for claim in claims))[:80],
        title="; ".join(dict.fromkeys(claim.title for claim in claims)),
        model=next(iter(models)) if len(models) == 1 else "",
        distilled_by=SOFTWARE,
        headline=lead,
        rival=rival if rival != lead else None,
        exams=tuple(exams),
        arms=tuple(arms),
        reward_runs=tuple(run for claim in claims for run in claim.reward_runs),
        continual=tuple(stream for claim in claims for stream in claim.continual),
        charges=(*(charge for arm in arms for charge in charges[arm.name]), *loops),
        reported=reported,
        searched="; ".join(dict.fromkeys(claim.searched for claim in claims if claim.searched)),
        regressions=next((claim.regressions for claim in claims if claim.regressions), None),
        glossary=" ".join(dict.fromkeys(claim.glossary for claim in claims if claim.glossary)),
        findings=tuple(dict.fromkeys(findings)),
        notes=tuple(dict.fromkeys(note for claim in claims for note in claim.notes)),
    )
