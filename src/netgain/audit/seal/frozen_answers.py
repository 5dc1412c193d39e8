"""Is the frozen baseline the same model in every file? Greedy answers tell: one model repeats itself, two do not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import final

from netgain.records.claim import Finding

SAME_MODEL = 0.6


@final
@dataclass(frozen=True)
class FrozenAnswers:
    """The frozen model's answers in one file, in question order, and the grader's verdicts on them."""

    texts: tuple[str, ...]
    correct: tuple[bool, ...]


def agreement(left: FrozenAnswers, right: FrozenAnswers) -> float:
    """Share of questions that got the same text (surrounding white space aside); 0 for lists of other lengths."""
    if len(left.texts) != len(right.texts) or not left.texts:
        return 0.0
    same = sum(a.strip() == b.strip() for a, b in zip(left.texts, right.texts, strict=True))
    return same / len(left.texts)


def groups(files: Mapping[str, FrozenAnswers]) -> dict[str, str]:
    """Arms whose frozen answers agree at least 60 % share a letter (single linkage, letters in order of the names)."""
    letter: dict[str, int] = {name: index for index, name in enumerate(sorted(files))}
    for left, right in combinations(sorted(files), 2):
        if agreement(files[left], files[right]) >= SAME_MODEL and letter[left] != letter[right]:
            low, high = sorted((letter[left], letter[right]))
            letter = {name: low if group == high else group for name, group in letter.items()}
    order = {group: index for index, group in enumerate(dict.fromkeys(letter[name] for name in sorted(files)))}
    return {name: chr(ord("A") + order[group] % 26) for name, group in letter.items()}


def findings(files: Mapping[str, FrozenAnswers], model: str = "") -> list[Finding]:
    """What the frozen answers of one model reveal about the baseline and about the grader; ``model`` names it where
    there are others beside it."""
    of = f"{model}: " if model else ""
    return [finding for finding in (_several_models(files, of), _inconsistent_grader(files, of)) if finding]


def _several_models(files: Mapping[str, FrozenAnswers], of: str) -> Finding | None:
    members: dict[str, list[str]] = {}
    for name, group in groups(files).items():
        members.setdefault(group, []).append(name)
    if len(members) < 2:
        return None
    across = [
        agreement(files[a], files[b]) for (_, x), (_, y) in combinations(members.items(), 2) for a in x for b in y
    ]
    within = [agreement(files[a], files[b]) for names in members.values() for a, b in combinations(names, 2)]
    return Finding(
        check="frozen-model-differs",
        severity="high",
        message=(
            f"{of}the 'frozen' baseline is not one model, or not one set-up, in all files: at temperature 0 it answers "
            f"only {min(across):.0%} to {max(across):.0%} of the questions alike across {len(members)} groups of files "
            f"({min(within, default=1):.0%} to {max(within, default=1):.0%} within them); a gain over one baseline is "
            "not a gain over another"
        ),
        evidence=(
            *(f"group {group}: {', '.join(names)}" for group, names in sorted(members.items())),
            f"files in one group agree on {SAME_MODEL:.0%} of the answers or are linked by such files; the cut is ours",
        ),
    )


def _inconsistent_grader(files: Mapping[str, FrozenAnswers], of: str) -> Finding | None:
    same, contradicted = 0, 0
    for left, right in combinations([files[name] for name in sorted(files)], 2):
        pairs = _same_texts(left, right)
        same += len(pairs)
        contradicted += sum(a != b for a, b in pairs)
    if not contradicted:
        return None
    return Finding(
        check="grader-inconsistent",
        severity="low",
        message=(
            f"{of}the grader judged {contradicted / same:.1%} of identical answers to the same question differently"
        ),
        evidence=(f"{contradicted:,} of {same:,} pairs of identical frozen answers in two files",),
    )


def _same_texts(left: FrozenAnswers, right: FrozenAnswers) -> Sequence[tuple[bool, bool]]:
    if len(left.texts) != len(right.texts):
        return ()
    rows = zip(left.texts, right.texts, left.correct, right.correct, strict=True)
    return [(a, b) for x, y, a, b in rows if x.strip() == y.strip() and x.strip()]
