"""SEAL's reward runs: several edits of each passage, each trained and examined several times, one kept."""

from collections import Counter
from pathlib import PurePosixPath
from re import search
from statistics import fmean

from netgain.audit.readers.seal import rules
from netgain.audit.readers.seal.bill import Bill, training_record, training_texts
from netgain.audit.readers.seal.files import Article, Completion, PassageFile
from netgain.records.claim import Charge, Purpose, RewardRun
from netgain.records.provenance import Source


def reward_run(name: str, file: str, data: PassageFile, bill: Bill) -> tuple[RewardRun, list[Charge]]:
    """One round of the outer loop with all its charges: edits, inner loops, answers, grading, outer fine-tuning."""
    repeats = max(1, data.eval_times)
    counts = [[_counts(completion, repeats) for completion in article.completions] for article in data.articles]
    complete = all(rows and all(row is not None for row in rows) for rows in counts) and bool(counts)
    texts = training_texts(data)
    loops = bill.inner_loops(name, file, data, texts, repeats)
    edits = bill.proposals(name, file, data, local=True, purpose=Purpose.PROPOSE)
    kept = [(article.prompt, _best(article).text) for article in data.articles if article.completions]
    charges = [loops, *([edits] if edits else []), *bill.answers(name, file, data, Purpose.SCORE)]
    charges.append(bill.outer_training(name, file, kept))
    prompt, index = outer_round(PurePosixPath(file).stem)
    run = RewardRun(
        name=name,
        prompt=prompt,
        round=index,
        problems=len(data.articles),
        edits=max((len(article.completions) for article in data.articles), default=0),
        repeats=repeats,
        kept=len(kept),
        questions=tuple(_questions(article) for article in data.articles) if complete else (),
        correct=tuple(tuple(row for row in rows if row is not None) for rows in counts) if complete else None,
        means=None if complete else _stats(data, "adapter_mean"),
        deviations=None if complete or _stats(data, "adapter_mean") is None else _deviations(data),
        training=training_record(
            data.lora_params,
            split_newlines=data.split_newlines,
            completions=data.k_completions,
            sequences=None if texts is None else len(texts),
        ),
        updates=loops.cost.updates,
        verdicts_stored=2 * sum(len(c.questions) for article in data.articles for c in article.completions),
        sources=(Source(file=file, field="articles[].completions[].questions[].adapter_correct"),),
    )
    return run, charges


def outer_round(stem: str) -> tuple[str, int]:
    """Prompt and index of a reward run by its file name: ``rank_iter0_prompt-long`` is the first round of *long*."""
    found = search(r"iter(\d+)", stem)
    identity = rules.identify(
        "base" + ("_prompt-" + stem.split("_prompt-")[1] if "_prompt-" in stem else ""), has_edits=True
    )
    return identity.prompt, int(found.group(1)) if found else 0


def _counts(completion: Completion, repeats: int) -> tuple[int, ...] | None:
    """Right answers in each repeat, or None unless every repeat asked the same positive number of questions."""
    asked = Counter(q.rep for q in completion.questions)
    if len(asked) != repeats or len(set(asked.values())) != 1:
        return None
    right = Counter(q.rep for q in completion.questions if q.adapter_correct)
    return tuple(right[rep] for rep in sorted(asked))


def _questions(article: Article) -> int:
    first = article.completions[0].questions
    return sum(1 for q in first if q.rep == first[0].rep)


def _best(article: Article) -> Completion:
    """The edit that the outer loop keeps: the highest mean accuracy over repeats; the first among equals."""
    return max(article.completions, key=_mean_accuracy)


def _mean_accuracy(completion: Completion) -> float:
    if completion.stats.adapter_mean is not None:
        return completion.stats.adapter_mean
    return fmean(q.adapter_correct for q in completion.questions) if completion.questions else 0.0


def _stats(data: PassageFile, field: str) -> tuple[tuple[float, ...], ...] | None:
    rows = [[getattr(completion.stats, field) for completion in article.completions] for article in data.articles]
    if any(value is None for row in rows for value in row):
        return None
    return tuple(tuple(row) for row in rows) if all(rows) else None


def _deviations(data: PassageFile) -> tuple[tuple[float | None, ...], ...]:
    return tuple(tuple(c.stats.adapter_std for c in article.completions) for article in data.articles)
