"""Version 2's continued pretraining: the whole model fine-tuned once on all passages, and asked some of the questions.

Its files hold answers without questions, in the order in which a script drew them: a shuffle under a fixed seed, of
which the first 500 were asked. The order is not taken on trust. It is the candidate under which the answers contain the
gold answers far more often than under the others; without the questions, arms of one setting are paired by position
where their answers agree at the same position and not one further.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Self, final

from netgain.audit.seal.files import FullTuningFile, PassageFile
from netgain.audit.seal.naming import HYPERNETWORK, TrainedModel, identify
from netgain.audit.seal.pricing import Pricing
from netgain.records.claim import Arm, Charge, Exam, ExamProblem, Role, Training
from netgain.records.cost import Cost, Purpose
from netgain.records.identity import short_hash
from netgain.records.provenance import Source

# `random.seed(42)` before the shuffle in the released script; the hypernetwork's shuffles under `args.seed`.
SHUFFLE = 42
CONTAINED = 0.05  # at least so many answers contain the gold answer in the right order; in a wrong one 0 to 0.6 %
CLEARER = 5.0  # times as often as under any other order
AGREEING = 0.02  # at least so many answers are alike, word for word, at the same position of two arms


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """The questions of a result file that names them, in file order: an identity of each, and its gold answer."""

    ids: tuple[str, ...]
    gold: tuple[str, ...]

    @classmethod
    def of(cls, data: PassageFile) -> Self:
        rows = [
            (short_hash(article.title, article.context, question.question), question.answer)
            for article in data.articles
            for question in (article.completions[0].questions if article.completions else ())
            if question.rep == 0
        ]
        before: Counter[str] = Counter()
        ids = []
        for name, _ in rows:  # a question that is asked twice counts twice, as in the published accuracy
            ids.append(f"{name}-{before[name] + 1}" if before[name] else name)
            before[name] += 1
        return cls(tuple(ids), tuple(answer for _, answer in rows))

    def drawn(self, data: FullTuningFile) -> tuple[str, ...] | None:
        """The identities of the questions that a file's answers belong to, or None where no order is clearly right."""
        count = len(data.per_question.adapter_correct)
        if count > len(self.ids):
            return None
        candidates = dict.fromkeys((None, SHUFFLE, data.args.seed))
        scores = {seed: self._contained(self._order(seed)[:count], data) for seed in candidates}
        best = max(scores, key=lambda seed: scores[seed])
        others = max((score for seed, score in scores.items() if seed != best), default=0.0)
        if scores[best] < CONTAINED or scores[best] < CLEARER * others:
            return None
        return tuple(self.ids[index] for index in self._order(best)[:count])

    def _order(self, seed: int | None) -> list[int]:
        order = list(range(len(self.ids)))
        if seed is not None:
            random.Random(seed).shuffle(order)  # noqa: S311 - Python's generator is what the script drew from
        return order

    def _contained(self, order: Sequence[int], data: FullTuningFile) -> float:
        texts = data.per_question.adapter_texts
        if len(texts) != len(order) or not texts:
            return 0.0
        pairs = zip(order, texts, strict=True)
        return sum(self.gold[index].lower().strip() in text.lower() for index, text in pairs) / len(texts)


def aligned(left: FullTuningFile, right: FullTuningFile) -> bool:
    """Whether two arms answered the same questions in the same order, as far as their answers show."""
    mine, other = ([text.strip().lower() for text in file.per_question.adapter_texts] for file in (left, right))
    if len(mine) != len(other) or len(mine) < 2:
        return False
    there = sum(a == b for a, b in zip(mine, other, strict=True))
    beside = sum(a == b for a, b in zip(mine, other[1:] + other[:1], strict=True))
    return there >= AGREEING * len(mine) and there >= CLEARER * beside


def exam_by_question(ids: Sequence[str]) -> Exam:
    """An exam in which every question is a problem of its own: one model was trained for all passages, so that it is
    questions that accuracy is a mean of."""
    problems = tuple(ExamProblem(id=name, questions=(name,)) for name in ids)
    return Exam(name=f"questions-{short_hash(*ids)}", problems=problems)


def exam_by_position(setting: str, count: int) -> Exam:
    """The same where the questions are not known: the first, the second ... that the arms of a setting answered."""
    return exam_by_question([short_hash(setting, f"question {index}") for index in range(count)])


def setting_of(file: str, data: FullTuningFile, model: TrainedModel) -> str:
    """Arms that may be held against each other: of one base model, on as many passages, trained in the same way."""
    how = "generated adapter" if HYPERNETWORK in PurePosixPath(file).stem else "full fine-tuning"
    return model.setting(f"continued pretraining, {data.n_articles:,} passages, {how}")


def tuned_arm(
    name: str, file: str, data: FullTuningFile, exam: Exam | None, pricing: Pricing, model: TrainedModel
) -> tuple[Arm, list[Charge]]:
    """One fine-tuned model over all passages: its verdicts, its settings and what they imply."""
    made = HYPERNETWORK in PurePosixPath(file).stem
    identity = identify(PurePosixPath(file).stem, has_edits=made or data.k_completions != 0, dataset=data.dataset)
    args, found = data.args, data.per_question
    arm = Arm(
        name=name,
        label=f"{model.label(identity.label)} (CPT {data.n_articles:,}, {'generated' if made else 'full'})",
        setting=setting_of(file, data, model),
        role=identity.role,
        prompt=identity.prompt,
        round=identity.round,
        model=model.base,
        starts_from=model.start,
        exam=exam.name if exam else None,
        correct=_bits(found.adapter_correct) if exam else None,
        averaged="questions",
        accuracy=data.metrics.adapter_accuracy,
        n_problems=data.n_articles,
        n_questions=len(found.adapter_correct) or None,
        seeds=1,
        training=None
        if made
        else Training(
            epochs=args.epochs,
            learning_rate=args.lr,
            batch_size=args.batch_size,
            grad_accumulation=args.gradient_accumulation_steps,
            max_length=args.max_seq_length,
            split_newlines=args.split_newlines,
            sequences=data.train_sequences,
            completions=data.k_completions,
        ),
        sources=(Source(file=file, field="per_question.adapter_correct"),),
    )
    if made:
        source = Source(file=file, field="args", note="what making the hypernetwork took is not published")
        return arm, [Charge(arm=name, purpose=Purpose.ADAPT, operation="generate", cost=Cost(), source=source)]
    return arm, [pricing.full_training(name, file, data)]


def frozen_of(arm: Arm, file: str, data: FullTuningFile) -> tuple[Arm, Charge] | None:
    """The untrained model as an arm of its own, where it was asked the same questions beside this arm."""
    verdicts = data.per_question.baseline_correct
    if verdicts is None or data.metrics.baseline_accuracy is None:
        return None
    source = Source(file=file, field="per_question.baseline_correct")
    frozen = Arm(
        name=f"frozen beside {arm.name}",
        label=f"frozen model ({arm.label.rpartition('(')[2]}",
        setting=arm.setting,
        role=Role.FROZEN,
        model=arm.model,
        exam=arm.exam if len(verdicts) == len(data.per_question.adapter_correct) else None,
        correct=_bits(verdicts) if arm.exam and len(verdicts) == len(data.per_question.adapter_correct) else None,
        averaged="questions",
        accuracy=data.metrics.baseline_accuracy,
        n_problems=arm.n_problems,
        n_questions=len(verdicts) or None,
        seeds=1,
        sources=(source,),
    )
    nothing = Charge(arm=frozen.name, purpose=Purpose.ADAPT, operation="none", count=0, cost=Cost.zero(), source=source)
    return frozen, nothing


def _bits(values: Sequence[bool]) -> tuple[str, ...]:
    return tuple("1" if value else "0" for value in values)
