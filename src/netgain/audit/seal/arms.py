"""SEAL's result files as arms (single-passage, continued pretraining, ARC, continual self-edits) and reward runs.

In a reward run several edits of each passage are each trained and examined several times, and one is kept.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath
from re import search
from statistics import fmean

from netgain.audit.seal.files import (
    Article,
    AskedQuestion,
    Completion,
    ContinualFile,
    CorpusFile,
    GridTable,
    PassageFile,
)
from netgain.audit.seal.naming import HYPERNETWORK, TrainedModel, identify, paper_accuracy
from netgain.audit.seal.pricing import Pricing, training_record, training_texts
from netgain.records.claim import Arm, Charge, Continual, Exam, ExamProblem, Purpose, RewardRun, Role
from netgain.records.cost import Cost
from netgain.records.identity import short_hash
from netgain.records.provenance import Source


def exam_of(data: PassageFile) -> Exam:
    """The problems and questions of a file, as hashes; files with equal contents give equal exams."""
    problems = tuple(
        ExamProblem(
            id=short_hash(article.title, article.context),
            questions=tuple(short_hash(q.question) for q in first_pass(article.completions[:1])),
        )
        for article in data.articles
    )
    return Exam(name=f"passages-{short_hash(*(p.id + ''.join(p.questions) for p in problems))}", problems=problems)


def first_pass(completions: Iterable[Completion]) -> list[AskedQuestion]:
    """The questions as they were asked in the first repeat."""
    return [q for completion in completions for q in completion.questions if q.rep == 0]


def single_passage_arm(
    name: str, file: str, data: PassageFile, exam: Exam, pricing: Pricing, model: TrainedModel
) -> tuple[Arm, list[Charge]]:
    """One adapter a passage: verdicts of the frozen and the adapted model, and what the arm's training took."""
    has_edits = any(completion.text.strip() for article in data.articles for completion in article.completions)
    identity = identify(PurePosixPath(file).stem, has_edits=has_edits, dataset=data.dataset)
    made = identity.label == identify(HYPERNETWORK, has_edits=True).label  # an adapter made by a network, not trained
    questions = [first_pass(article.completions[:1]) for article in data.articles]
    local = identity.role is not Role.TEACHER
    texts = None if made else training_texts(data)
    arm = Arm(
        name=name,
        label=model.label(identity.label),
        setting=model.setting("single passage"),
        role=identity.role,
        prompt=identity.prompt,
        round=identity.round,
        generator="" if not has_edits or made else model.base if local else identity.label.split()[0],
        model=model.base,
        starts_from=model.start,
        exam=exam.name,
        correct=tuple(_bits(q.adapter_correct for q in row) for row in questions),
        frozen_correct=tuple(_bits(q.baseline_correct for q in row) for row in questions),
        accuracy=data.overall.adapter_mean_accuracy,
        frozen_accuracy=data.overall.baseline_mean_accuracy,
        paper_accuracy=paper_accuracy(identity, model),
        n_problems=len(data.articles),
        n_questions=sum(len(row) for row in questions),
        seeds=data.eval_times,
        training=None
        if made
        else training_record(
            data.lora_params,
            split_newlines=data.split_newlines,
            completions=data.k_completions,
            sequences=None if texts is None else len(texts),
        ),
        sources=(Source(file=file, field="articles[].completions[0].questions[].adapter_correct"),),
    )
    charges = [pricing.inner_loops(name, file, data, texts, repeats=1)]
    purpose = Purpose.PROPOSE if local else Purpose.TEACH
    written = None if made else pricing.proposals(name, file, data, local=local, purpose=purpose)
    charges += [written] if written else []
    return arm, charges + pricing.answers(name, file, data, Purpose.EVALUATE)


def frozen_arm(beside: Arm, name: str = "frozen", label: str = "frozen model") -> tuple[Arm, Charge]:
    """The untrained model as an arm of its own: its verdicts as published beside one arm, at no cost."""
    source = Source(file=beside.sources[0].file, field="articles[].completions[0].questions[].baseline_correct")
    arm = Arm(
        name=name,
        label=label,
        setting=beside.setting,
        role=Role.FROZEN,
        model=beside.model,
        exam=beside.exam,
        correct=beside.frozen_correct,
        accuracy=beside.frozen_accuracy,
        n_problems=beside.n_problems,
        n_questions=beside.n_questions,
        seeds=beside.seeds,
        sources=(source,),
    )
    nothing = Charge(arm=arm.name, purpose=Purpose.ADAPT, operation="none", count=0, cost=Cost.zero(), source=source)
    return arm, nothing


def corpus_arm(
    name: str, file: str, data: CorpusFile, exam: Exam | None, pricing: Pricing, model: TrainedModel
) -> tuple[Arm, list[Charge]]:
    """Continued pretraining: one adapter over all passages. Its texts are not in the file, so its tokens are unknown.

    The verdicts come as one flat list; ``exam`` is given where the order of the questions could be established.
    """
    identity = identify(PurePosixPath(file).stem, has_edits=data.k_completions != 0)
    reply = data.server_reply
    arm = Arm(
        name=name,
        label=f"{identity.label} (CPT)",
        setting=model.setting(f"continued pretraining, {data.n_articles} passages"),
        role=identity.role,
        prompt=identity.prompt,
        round=identity.round,
        model=model.base,
        exam=exam.name if exam else None,
        correct=_cut(reply.adapter_correct, exam) if exam else None,
        frozen_correct=_cut(reply.baseline_correct, exam) if exam else None,
        averaged="questions",
        accuracy=data.overall.adapter_accuracy,
        frozen_accuracy=data.overall.baseline_accuracy,
        n_problems=data.n_articles,
        n_questions=data.eval_questions or len(reply.adapter_correct) or None,
        seeds=1,
        training=training_record(
            data.lora_params,
            split_newlines=data.split_newlines,
            completions=data.k_completions,
            sequences=data.train_sequences,
        ),
        sources=(Source(file=file, field="server_reply.adapter_correct"),),
    )
    return arm, [_corpus_charge(name, file, data, pricing)]


def _corpus_charge(name: str, file: str, data: CorpusFile, pricing: Pricing) -> Charge:
    """Updates and padded positions follow from the number of sequences; real tokens would need the texts."""
    known = pricing.padded_training(data.train_sequences, data.lora_params) if data.train_sequences else Cost()
    source = Source(file=file, field="train_sequences, lora_params")
    return Charge(arm=name, purpose=Purpose.ADAPT, operation="train a LoRA adapter", count=1, cost=known, source=source)


def _cut(flat: tuple[bool, ...], exam: Exam) -> tuple[str, ...]:
    rest = iter(flat)
    return tuple(_bits(next(rest) for _ in problem.questions) for problem in exam.problems)


def _bits(values: Iterable[bool]) -> str:
    return "".join("1" if value else "0" for value in values)


def grid_arm(name: str, file: str, table: GridTable) -> tuple[Arm, Exam]:
    """ARC's shipped result: one verdict a task."""
    keys = sorted(table.task_id, key=lambda key: (len(key), key))
    problems = tuple(ExamProblem(id=table.task_id[key], questions=(short_hash(table.task_id[key]),)) for key in keys)
    exam = Exam(name=f"arc-{short_hash(*(problem.id for problem in problems))}", problems=problems)
    verdicts = tuple("-" if key not in table.correct else _bits([table.correct[key]]) for key in keys)
    answered = [row == "1" for row in verdicts if row != "-"]
    arm = Arm(
        name=name,
        label="ARC, shipped result",
        setting="few-shot ARC",
        role=Role.OTHER,
        model="meta-llama/Llama-3.2-1B-Instruct",
        exam=exam.name,
        correct=verdicts,
        accuracy=fmean(answered) if answered else None,
        n_problems=len(problems),
        n_questions=len(problems),
        seeds=1,
        sources=(Source(file=file, field="correct"),),
    )
    return arm, exam


def continual_of(name: str, file: str, data: ContinualFile, runs: dict[str, ContinualFile]) -> Continual:
    """The retention matrix. Above the diagonal of the trained rows nothing was measured; the files hold 0 there."""
    return Continual(
        name=name,
        model=data.base_model,
        sequences=data.n_sequences,
        mean=_measured(data.mean_over_sequences),
        deviation=_measured(data.std_over_sequences) if data.std_over_sequences else None,
        runs=tuple(_measured(run.mean_over_sequences) for _, run in sorted(runs.items())),
        sources=tuple(Source(file=path, field="mean_over_sequences") for path in (file, *sorted(runs))),
    )


def _measured(matrix: tuple[tuple[float, ...], ...]) -> tuple[tuple[float | None, ...], ...]:
    return tuple(
        tuple(value if edits == 0 or column < edits else None for column, value in enumerate(row))
        for edits, row in enumerate(matrix)
    )


def reward_run(
    name: str, file: str, data: PassageFile, pricing: Pricing, model: TrainedModel
) -> tuple[RewardRun, list[Charge]]:
    """One round of the outer loop with all its charges: edits, inner loops, answers, grading, outer fine-tuning."""
    repeats = max(1, data.eval_times)
    counts = [[_counts(completion, repeats) for completion in article.completions] for article in data.articles]
    complete = all(rows and all(row is not None for row in rows) for rows in counts) and bool(counts)
    texts = training_texts(data)
    proxy = data.reward_mode == "proxy"
    scored = pricing.proxy_scores(name, file, data) if proxy else pricing.answers(name, file, data, Purpose.SCORE)
    loops = scored.pop(0) if proxy else pricing.inner_loops(name, file, data, texts, repeats)
    edits = pricing.proposals(name, file, data, local=True, purpose=Purpose.PROPOSE)
    kept = [(article.prompt, _best(article).text) for article in data.articles if article.completions]
    charges = [loops, *([edits] if edits else []), *scored]
    charges.append(pricing.outer_training(name, file, kept))
    prompt, index = outer_round(PurePosixPath(file).stem)
    run = RewardRun(
        name=name,
        prompt=prompt,
        round=index,
        model=model.base if model.mark else "",
        problems=len(data.articles),
        edits=max((len(article.completions) for article in data.articles), default=0),
        repeats=0 if proxy else repeats,
        kept=len(kept),
        questions=tuple(_questions(article) for article in data.articles) if complete else (),
        correct=tuple(tuple(row for row in rows if row is not None) for rows in counts) if complete else None,
        means=None if complete or proxy else _stats(data, "adapter_mean"),
        deviations=None if complete or proxy or _stats(data, "adapter_mean") is None else _deviations(data),
        training=None
        if proxy
        else training_record(
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
    identity = identify("base" + ("_prompt-" + stem.split("_prompt-")[1] if "_prompt-" in stem else ""), has_edits=True)
    proxy = ", proxy reward" if stem.endswith("_proxy") else ""  # another loop, with writers of its own
    return identity.prompt + proxy, int(found.group(1)) if found else 0


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
    """The edit that the outer loop keeps: the highest mean reward over repeats; the first among equals."""
    return max(article.completions, key=_mean_reward)


def _mean_reward(completion: Completion) -> float:
    if completion.proxy_scores and completion.stats.proxy_mean is not None:
        return completion.stats.proxy_mean
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
