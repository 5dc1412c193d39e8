"""The first thirty seconds of page and terminal: what was tested, and the verdict in plain sentences."""

from collections.abc import Iterator

from netgain.analysis.intervals import Interval
from netgain.analysis.sentences import (
    decisive,
    every,
    figures,
    luck_left_out,
    over_dearer,
    points,
    shared,
    too_few,
    unmatched,
    why_unknown,
)
from netgain.analysis.verdict import ArmRow, DecompositionRow, RewardRow, Verdict, primary_row
from netgain.records.provenance import RunHistory, RunSetup
from netgain.report import numbers

ABSENT = "not in the record"
PASSAGE = 240  # characters of an example's passage
_RIVALS = {
    "synthetic": "training on text that the model wrote itself",
    "teacher": "training on a teacher's text",
    "passage": "training on the passage alone",
    "in_context": "reading the passage at the exam",
}


def subjects(verdict: Verdict) -> dict[str, str]:
    """Of each domain or setting that is judged the arm under test by name, the primary one first."""
    if verdict.terms is not None:
        rows = sorted(verdict.domains, key=lambda row: not row.primary)
        return {row.setting: row.arm for row in rows if row.arm}
    return {arm.setting: arm.name for arm in verdict.arms if arm.headline}


def matched(verdict: Verdict, arm: str, currency: str | None = None) -> DecompositionRow | None:
    """How the gap of an arm is taken apart, its investment charged; in the currency that decides, or in this one."""
    if verdict.terms is None and currency is None:
        return primary_row(verdict.decomposition, arm)
    wanted = currency or (verdict.terms.currency.value if verdict.terms else "")
    rows = (row for row in verdict.decomposition if (row.arm, row.currency) == (arm, wanted))
    return next((row for row in rows if row.basis == "with outer loop"), None)


def example(verdict: Verdict) -> tuple[str, list[str]]:
    """One question with a right answer, of the domain that decides: (what it is called, its lines)."""
    known = verdict.setup.questions if verdict.setup else ()
    wanted = verdict.terms.setting if verdict.terms else ""
    one = next((one for one in known if one.setting == wanted), next(iter(known), None))
    if one is None:
        return ("example", [ABSENT])
    return (
        f"example ({one.setting})" if len(known) > 1 else "example",
        [*_example(one.passage, one.question, one.answer), *_prompt(one.prompt, one.version)],
    )


def _example(passage: str, question: str, answer: str) -> list[str]:
    text = " ".join(passage.split())
    cut = text if len(text) <= PASSAGE else text[:PASSAGE].rsplit(" ", 1)[0] + " …"
    asked = [f"Question: {' '.join(question.split())}", f"Right answer: {answer}"]
    return [f"Passage: {cut}", *asked] if cut else asked


def _prompt(prompt: str, version: str) -> list[str]:
    """How it is asked, in full: its line ends as signs, for a fact is one line."""
    return [f"Asked as (prompts {version}): {' ↵ '.join(prompt.splitlines())}"] if prompt else []


def facts(verdict: Verdict) -> list[tuple[str, list[str]]]:
    """What was compared, on what, with which model, hardware and budget: (name, lines)."""
    setup = verdict.setup or RunSetup()
    rows = [("compared", _compared(verdict)), ("exam", _exam(verdict)), ("model", [verdict.model or ABSENT])]
    terms = verdict.terms
    if terms is None:
        published = [part for part in (verdict.paper, verdict.url, verdict.licence) if part]
        rows += [("published", ["; ".join(published) or ABSENT]), ("outer loop", _shared(verdict))]
        known = [part for part in (setup.hardware, setup.date) if part]
        return [*rows, ("hardware, date", ["; ".join(known) or ABSENT])]
    name = numbers.ALL_NAMES[terms.currency.value]
    ladder = ", ".join(f"{rung:g}" for rung in terms.ladder)
    rows.append(
        ("budget", [f"{numbers.amount(terms.per_problem)} {name} for each problem (1× budget); tried: {ladder}×"])
    )
    shared = f"what a method spends before it can be used is spread over {terms.deployments:,} deployments (problems)"
    rows.append(("investment", [shared]))
    rows += [("registered", [_registered(setup.history)]), ("history", _history(setup.history, terms.currency.value))]
    known = [part for part in (setup.hardware or terms.device, setup.date) if part]
    return [*rows, ("hardware, date", ["; ".join(known) or ABSENT])]


def _registered(history: RunHistory | None) -> str:
    """Whether what was asked was written down before anything ran, and by which hash one finds it."""
    if history is None:
        return ABSENT
    name = f"hash {history.spec.removeprefix('sha256:')[:12]}"
    return f"{history.registered[:10]}, {name}" if history.registered else f"not registered before it ran; {name}"


def _history(history: RunHistory | None, currency: str) -> list[str]:
    """All that was stopped, done again or changed on the way to the record."""
    if history is None or not history.launches:
        return [ABSENT]
    lines = [f"launches: {history.launches}"]
    if history.cut_off:
        lost = f"{numbers.amount(history.lost.get(currency, 0.0))} {numbers.ALL_NAMES[currency]}"
        lines.append(f"attempts cut off: {sum(history.cut_off.values())} (lost: {lost})")
    told = {
        "launches stopped by": history.stopped,
        "tasks failed": history.failed,
        "finished tasks done again": history.repeated,
        "attempts deleted": history.deleted,
        "changed after it had begun": history.changed,
    }
    lines += [f"{name}: {'; '.join(found)}" for name, found in told.items() if found]
    return lines if len(lines) > 1 else [f"{lines[0]}; nothing was cut off, done again or changed"]


def measured(verdict: Verdict) -> list[str]:
    """With what a trial's costs were counted: library versions, and how the meter's self-check ended."""
    if verdict.terms is None:
        return []
    setup = verdict.setup or RunSetup()
    versions = ", ".join(f"{library} {version}" for library, version in setup.versions.items())
    commit = f"commit {setup.commit[:12]}" if setup.commit else ""
    changes = f"with uncommitted changes ({setup.changes[:12]})" if setup.changes else ""
    source = f"source {setup.code[:12]}" if setup.code else ""
    code = ", ".join(filter(None, (commit, changes, source)))
    said = f" netgain's code: {code}." if code else ""
    return [
        f"Library versions: {versions or ABSENT}.{said}",
        f"Self-check of the meter: {setup.meter_check or ABSENT}.",
    ]


def _compared(verdict: Verdict) -> list[str]:
    labels = {arm.name: arm.label for arm in verdict.arms}
    terms = verdict.terms
    if terms is None:
        first = next((row for row in verdict.comparisons if row.primary), None)
        if first is None:
            return [next((arm.label for arm in verdict.arms if arm.headline), ABSENT)]
        return [f"{labels[first.a]} against {labels.get(first.b, first.b)}, as the claim does"]
    arm = next((arm.label for arm in verdict.arms if arm.method == terms.compare and arm.own), terms.compare)
    named = next((arm.label for arm in verdict.arms if arm.method == terms.against and arm.own), terms.against)
    fixed = "fixed before the run"
    if named == "best conventional":
        named, fixed = "the best conventional arm", "chosen on development problems, fixed before the run"
    return [f"{arm} against {named} ({fixed})"]


def _exam(verdict: Verdict) -> list[str]:
    terms = verdict.terms
    if terms is not None:
        seeds = f"{terms.seeds} seed{'s' if terms.seeds != 1 else ''}"
        domains = ", ".join(terms.worlds)
        problems = (
            f"{terms.test_problems:,} test problem{'s' if terms.test_problems != 1 else ''} in each domain ({domains})"
        )
        return [f"{problems}, {seeds}; what counts: {numbers.kind_name(terms.exam)}"]
    arm = next((arm for arm in verdict.arms if arm.headline), None)
    if arm is None or arm.n_problems is None:
        return [ABSENT]
    questions = f", {arm.n_questions:,} questions" if arm.n_questions else ""
    return [f"{arm.n_problems:,} problems{questions} ({arm.setting})"]


def _shared(verdict: Verdict) -> list[str]:
    arm = next(iter(subjects(verdict).values()), "")
    row = matched(verdict, arm)
    if row is None or row.deployments is None:
        return [ABSENT]
    return [f"its training is spread over the {row.deployments:,} problems examined (deployments)"]


def plain(verdict: Verdict) -> list[tuple[str, str]]:
    """The verdict in one plain sentence for each domain, the primary first: (which of several domains, sentence)."""
    kinds = {row.setting: (row.kind, row.sentence) for row in verdict.domains}
    told = []
    for setting, name in subjects(verdict).items():
        kind, exact = kinds.get(setting, (verdict.headline.kind, verdict.headline.sentence))
        row = matched(verdict, name)
        sentence = _sentence(kind, verdict.arm(name), row, verdict) if row else None
        told.append((setting if len(kinds) > 1 else "", sentence or exact))
    terms = verdict.terms
    if terms and told and terms.runs_done < terms.runs_planned:
        where, sentence = told[0]
        told[0] = (where, f"Unfinished: {terms.runs_done} of {terms.runs_planned} runs. {sentence}")
    return told or [("", verdict.headline.sentence)]


def exact(verdict: Verdict) -> list[str]:
    """The analysis' own sentences with all intervals, the headline's first: those that :func:`plain` does not tell."""
    told = {sentence for _, sentence in plain(verdict)}
    sentences = (verdict.headline.sentence, *(row.sentence for row in verdict.domains if not row.primary))
    return [sentence for sentence in sentences if sentence not in told]


def why_whole(verdict: Verdict, name: str | None) -> str:
    """Why the gap of an arm is not taken apart."""
    row = matched(verdict, name) if name else None
    if row is None or name is None:
        return "it needs the arm under test, a conventional rival and the frozen model on the same problems"
    return why_unknown(row)


def _sentence(kind: str, arm: ArmRow, row: DecompositionRow, verdict: Verdict) -> str | None:
    """None where the analysis' own sentence says it best: where nothing can be matched."""
    if row.method_part is None or row.rival is None or row.worst_case is None or kind == "cannot tell":
        return None
    labels, worst = {other.name: other.label for other in verdict.arms}, row.worst_case
    if kind == "too few runs":
        return f"{too_few(row)} {figures(row, labels)}."
    one = decisive(kind, row, worst)
    rival, left = _rival(verdict.arm(one.rival)), _left(one.difference)
    prompt = ", under another prompt" if row.prompts_differ and one.rival == row.rival else ""
    gains = f"{arm.label} was compared"
    if row.gap is not None:
        points_gained = f"{100 * row.gap.value:.1f} percentage points in accuracy"
        gains = f"{arm.label} gains {points_gained} over the unchanged (frozen) model"
    with_no_more = f"with no more compute{shared(row)}"
    told = f"At equal compute{shared(row)}, {arm.label} against {rival}: {left}."
    match kind:
        case "rival ahead":
            told = f"W{with_no_more[1:]}, {rival} is more accurate than {arm.label} ({left} for {arm.label})."
        case "no gain":
            told = f"{arm.label} shows no gain over the unchanged (frozen) model that is distinguishable from zero."
        case "no difference":
            told = f"At equal compute{shared(row)}, {arm.label} and {rival} are equally accurate ({left})."
        case "nothing left":
            doubt = one.difference.low <= 0 <= one.difference.high
            ends = "not distinguishable from zero" if doubt else "not enough to be ahead of every conventional arm"
            told = f"{gains}, but its difference from {rival}{prompt}, {with_no_more}, is {left}: {ends}."
        case "unmatched":
            more = over_dearer(row, labels, verdict.comparisons)
            told = f"{gains}, but {unmatched(row)}: how much is the method's is unknown{f' ({more})' if more else ''}."
        case "method":
            over = f"the strongest is {rival} ({left})" if len(worst.all) > 1 else f"it is {rival} ({left})"
            told = f"{gains} and, {with_no_more}, is ahead of {every(worst)}: {over}."
    return told + ("" if verdict.terms else luck_left_out(verdict, row))


def _left(part: Interval) -> str:
    return f"{points(part.value)} points, 95\N{NO-BREAK SPACE}% interval {points(part.low)} to {points(part.high)}"


def _rival(arm: ArmRow) -> str:
    what = _RIVALS.get(arm.role)
    return f"{what} ({arm.label})" if what else arm.label


def rewards(verdict: Verdict) -> Iterator[tuple[str, RewardRow]]:
    """The measured rewards, each under a name of its own: arm and round, or prompt and round."""
    several = len({arm.setting for arm in verdict.arms if arm.rung is not None}) > 1
    for row in verdict.rewards:
        arm = next((arm for arm in verdict.arms if arm.own and row.arm.startswith(f"{arm.name} ")), None)
        if arm is None:
            yield f"{row.prompt or row.arm} round {row.round + 1}", row
        else:
            yield f"{arm.setting + ': ' if several else ''}{arm.label}, round {row.round}", row
