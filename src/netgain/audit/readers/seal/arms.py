"""SEAL's evaluation files as arms: single-passage, continued pretraining, ARC, continual self-edits."""

from collections.abc import Iterable
from pathlib import PurePosixPath
from statistics import fmean

from netgain.audit.readers.seal import rules
from netgain.audit.readers.seal.bill import Bill, training_record, training_texts
from netgain.audit.readers.seal.files import Completion, ContinualFile, CorpusFile, GridTable, PassageFile, Question
from netgain.records.claim import Arm, Charge, Continual, Exam, ExamProblem, Purpose, Role
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


def first_pass(completions: Iterable[Completion]) -> list[Question]:
    """The questions as they were asked in the first repeat."""
    return [q for completion in completions for q in completion.questions if q.rep == 0]


def single_passage_arm(name: str, file: str, data: PassageFile, exam: Exam, bill: Bill) -> tuple[Arm, list[Charge]]:
    """One adapter a passage: verdicts of the frozen and the adapted model, and what the arm's training took."""
    has_edits = any(completion.text.strip() for article in data.articles for completion in article.completions)
    identity = rules.identify(PurePosixPath(file).stem, has_edits=has_edits)
    questions = [first_pass(article.completions[:1]) for article in data.articles]
    local = identity.role is not Role.TEACHER
    texts = training_texts(data)
    arm = Arm(
        name=name,
        label=identity.label,
        setting="single passage",
        role=identity.role,
        prompt=identity.prompt,
        round=identity.round,
        generator="" if not has_edits else rules.MODEL if local else identity.label.split()[0],
        model=rules.MODEL,
        exam=exam.name,
        correct=tuple(_bits(q.adapter_correct for q in row) for row in questions),
        frozen_correct=tuple(_bits(q.baseline_correct for q in row) for row in questions),
        accuracy=data.overall.adapter_mean_accuracy,
        frozen_accuracy=data.overall.baseline_mean_accuracy,
        paper_accuracy=rules.paper_accuracy(identity),
        n_problems=len(data.articles),
        n_questions=sum(len(row) for row in questions),
        seeds=data.eval_times,
        training=training_record(
            data.lora_params,
            split_newlines=data.split_newlines,
            completions=data.k_completions,
            sequences=None if texts is None else len(texts),
        ),
        sources=(Source(file=file, field="articles[].completions[0].questions[].adapter_correct"),),
    )
    charges = [bill.inner_loops(name, file, data, texts, repeats=1)]
    written = bill.proposals(name, file, data, local=local, purpose=Purpose.PROPOSE if local else Purpose.TEACH)
    charges += [written] if written else []
    return arm, charges + bill.answers(name, file, data, Purpose.EVALUATE)


def frozen_arm(beside: Arm) -> tuple[Arm, Charge]:
    """The untrained model as an arm of its own: its verdicts as published beside one arm, at no cost."""
    source = Source(file=beside.sources[0].file, field="articles[].completions[0].questions[].baseline_correct")
    arm = Arm(
        name="frozen",
        label="frozen model",
        setting=beside.setting,
        role=Role.FROZEN,
        model=rules.MODEL,
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


def corpus_arm(name: str, file: str, data: CorpusFile, exam: Exam | None, bill: Bill) -> tuple[Arm, list[Charge]]:
    """Continued pretraining: one adapter over all passages. Its texts are not in the file, so its tokens are unknown.

    The verdicts come as one flat list; ``exam`` is given where the order of the questions could be established.
    """
    identity = rules.identify(PurePosixPath(file).stem, has_edits=data.k_completions != 0)
    reply = data.server_reply
    arm = Arm(
        name=name,
        label=f"{identity.label} (CPT)",
        setting=f"continued pretraining, {data.n_articles} passages",
        role=identity.role,
        prompt=identity.prompt,
        round=identity.round,
        model=rules.MODEL,
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
    return arm, [_corpus_charge(name, file, data, bill)]


def _corpus_charge(name: str, file: str, data: CorpusFile, bill: Bill) -> Charge:
    """Updates and padded positions follow from the number of sequences; real tokens would need the texts."""
    known = bill.padded_training(data.train_sequences, data.lora_params) if data.train_sequences else Cost()
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
