"""SEAL's rules in our words, and the sequences, updates, positions and FLOPs that its configuration implies.

Sources: the authors' repository at 4cb1e7d and the paper (arXiv 2506.10943), section 3 and appendix B.
"""

import dataclasses
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from netgain.audit.seal.files import FullTuningFile, LoraParams, PassageFile
from netgain.metering.estimate import context_sum
from netgain.metering.price import Full, Lora, forward_flops, training_flops
from netgain.metering.shape import ModelShape
from netgain.records.claim import Charge, Purpose, Training
from netgain.records.cost import Cost, Currency
from netgain.records.provenance import Source
from netgain.tokens import TokenCounter

INNER_TARGETS = ("q_proj", "v_proj")
OUTER_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
MAX_LENGTH = 2048
OUTER_EPOCHS, OUTER_BATCH, OUTER_RANK = 2, 10, 64
ANSWER_PROMPT = "Let's answer a question directly and concisely.\nQuestion: Topic: {title} {question}\nAnswer:\n"
PAPER = "arXiv 2506.10943"
_NUMBERED_QUESTION = re.compile(r"Question\s+\d+:")
_PLAIN_ANSWER = re.compile(r"Answer\s*:")
ANSWER_TOKENS = 64
_TOKENS = (Currency.TOKENS_REAL, Currency.TOKENS_GENERATED)


@final
@dataclass(frozen=True)
class Pricing:
    """Writes charges for one stated model, with one way of counting tokens. All amounts are totals, not per problem.

    Without a ``shape`` FLOPs are unknown.
    """

    shape: ModelShape | None
    tokens: TokenCounter

    def inner_loops(self, name: str, file: str, data: PassageFile, texts: Sequence[str] | None, repeats: int) -> Charge:
        """All LoRA inner loops of a result file: every edit of every passage, trained ``repeats`` times.

        The released code pads every sequence to 2,048 and leaves the padding in the loss, with batches of one.
        ``texts`` are the training sequences, each once; None leaves the cost unknown.
        """
        loops = sum(len(article.completions) for article in data.articles) * repeats
        source = Source(file=file, field="articles[].completions[].text, lora_params, split_newlines, eval_times")
        if texts is None:
            return self._charge(name, Purpose.ADAPT, "train a LoRA adapter", loops, Cost(), source)
        lengths = [min(length, MAX_LENGTH) for length in self.tokens.count(texts)]
        cost, unpadded = self._training(lengths, data.lora_params, times=repeats)
        return self._charge(name, Purpose.ADAPT, "train a LoRA adapter", loops, cost, source, unpadded)

    def _training(self, lengths: Sequence[float], lora: LoraParams, times: int) -> tuple[Cost, float | None]:
        """The cost of LoRA training on sequences of these lengths, padded; and its FLOPs without the padding."""
        padded = self.padded_training(len(lengths), lora, times)
        if padded.updates is None or lora.epochs is None or lora.rank is None:
            return Cost(), None
        passes = lora.epochs * times
        positions, context = sum(lengths) * passes, context_sum(lengths) * passes
        adapter = Lora(lora.rank, INNER_TARGETS)
        unpadded = self._training_flops(adapter, positions, context, padded.updates)
        return dataclasses.replace(padded, tokens_real=positions), unpadded

    def padded_training(self, sequences: int, lora: LoraParams, times: int = 1) -> Cost:
        """What follows from the number of sequences alone: updates, padded positions, FLOPs. Unknown stays unknown."""
        batch, steps = lora.batch_size, lora.grad_accum_steps
        if lora.epochs is None or lora.rank is None or batch is None or steps is None:
            return Cost()
        passes = lora.epochs * times
        updates = math.ceil(sequences * passes / (batch * steps))
        padded = sequences * passes * MAX_LENGTH
        square = sequences * passes * context_sum([MAX_LENGTH])
        flops = self._training_flops(Lora(lora.rank, INNER_TARGETS), padded, square, updates)
        return Cost(updates=updates, tokens_padded=padded, flops=flops)

    def full_training(self, name: str, file: str, data: FullTuningFile) -> Charge:
        """Full fine-tuning on a corpus: updates and padded positions from the number of sequences and ``args``.

        The released code pads every sequence to the maximal length, and its labels are a copy of the padded input.
        """
        source = Source(file=file, field="train_sequences, args")
        args, sequences, cost = data.args, data.train_sequences, Cost()
        batch, steps, length = args.batch_size, args.gradient_accumulation_steps, args.max_seq_length
        if sequences and args.epochs and batch and steps and length:
            # Transformers' Trainer keeps the last, smaller batch and makes an update of it at the end of each epoch.
            updates = math.ceil(math.ceil(sequences / batch) / steps) * args.epochs
            padded = sequences * length * args.epochs
            square = sequences * context_sum([length]) * args.epochs
            flops = self._training_flops(Full(), padded, square, updates)
            cost = Cost(updates=updates, tokens_padded=padded, flops=flops)
        return self._charge(name, Purpose.ADAPT, "fine-tune the whole model", 1, cost, source)

    def _training_flops(self, trained: Lora | Full, positions: float, context: float, updates: float) -> float | None:
        if self.shape is None:
            return None
        return training_flops(self.shape, trained, positions, context, positions, updates)

    def _forward_flops(self, ends: Sequence[float], generated: Sequence[float]) -> float | None:
        """Of generating so many tokens each up to these lengths."""
        if self.shape is None:
            return None
        return forward_flops(self.shape, sum(ends), context_sum(ends, "causal"), sum(generated))

    def proposals(self, name: str, file: str, data: PassageFile, *, local: bool, purpose: Purpose) -> Charge | None:
        """Writing the edits: tokens generated, and their FLOPs unless a teacher wrote them."""
        written = [(article.prompt, completion.text) for article in data.articles for completion in article.completions]
        written = [(prompt, text) for prompt, text in written if text.strip()]
        if not written:
            return None
        prompts, texts = (self.tokens.count([pair[i] for pair in written]) for i in (0, 1))
        ends = [prompt + text for prompt, text in zip(prompts, texts, strict=True)]
        flops = self._forward_flops(ends, texts) if local else None
        cost = Cost(tokens_real=sum(ends), tokens_padded=sum(ends), tokens_generated=sum(texts), flops=flops, updates=0)
        source = Source(
            file=file, field="articles[].prompt, completions[].text", note="decoding priced without padding"
        )
        return self._charge(name, purpose, "write a self-edit", len(texts), cost, source, flops)

    def answers(self, name: str, file: str, data: PassageFile, purpose: Purpose) -> list[Charge]:
        """Answering by the frozen and the adapted model, and the grader's calls (its tokens are not published)."""
        asked = [(a.title, q) for a in data.articles for completion in a.completions for q in completion.questions]
        source = Source(file=file, field="articles[].completions[].questions[]", note="decoding priced without padding")
        if not asked:
            return [self._charge(name, purpose, "answer a question", None, Cost(updates=0), source)]
        prompts = self.tokens.count([ANSWER_PROMPT.format(title=title, question=q.question) for title, q in asked])
        replies = [text for _, q in asked for text in (q.baseline_answer, q.adapter_answer)]
        generated = [min(length, ANSWER_TOKENS) for length in self.tokens.count(replies)]
        ends = [prompt + generated[2 * i + side] for i, prompt in enumerate(prompts) for side in (0, 1)]
        flops = self._forward_flops(ends, generated)
        cost = Cost(
            updates=0, tokens_real=sum(ends), tokens_padded=sum(ends), tokens_generated=sum(generated), flops=flops
        )
        answered = self._charge(name, purpose, "answer a question", len(replies), cost, source, flops)
        calls = sum(1 for text in replies if text.strip())
        graded = Charge(
            arm=name, purpose=purpose, operation="grade by GPT-4.1", count=calls, cost=Cost(updates=0), source=source
        )
        return [answered, graded]

    def proxy_scores(self, name: str, file: str, data: PassageFile) -> list[Charge]:
        """A reward from a rubric that a teacher fills in: nothing is trained for it; its tokens are not published."""
        scored = sum(len(completion.proxy_scores) for article in data.articles for completion in article.completions)
        source = Source(file=file, field="articles[].completions[].proxy_scores")
        trained = self._charge(name, Purpose.ADAPT, "train a LoRA adapter", 0, Cost.zero(), source)
        graded = self._charge(name, Purpose.SCORE, "grade a self-edit by GPT-4.1", scored, Cost(updates=0), source)
        return [trained, graded]

    def outer_training(self, name: str, file: str, pairs: Sequence[tuple[str, str]]) -> Charge:
        """The outer loop's supervised fine-tuning on the kept (prompt, edit) pairs: paper, appendix B."""
        lengths = self.tokens.count([prompt + edit for prompt, edit in pairs])
        passes = OUTER_EPOCHS
        updates = math.ceil(len(pairs) / OUTER_BATCH) * passes
        positions = sum(lengths) * passes
        adapter = Lora(OUTER_RANK, OUTER_TARGETS)
        flops = self._training_flops(adapter, positions, context_sum(lengths) * passes, updates)
        cost = Cost(updates=updates, tokens_real=positions, flops=flops)
        note = f"{passes} epochs, batch {OUTER_BATCH}, LoRA rank {OUTER_RANK} on all linear layers"
        source = Source(file=PAPER, field="appendix B", note=f"{note}; the pairs from {file}")
        return self._charge(name, Purpose.LEARN, "fine-tune on the kept edits", len(pairs), cost, source, flops)

    def _charge(
        self,
        arm: str,
        purpose: Purpose,
        operation: str,
        count: int | None,
        cost: Cost,
        source: Source,
        unpadded: float | None = None,
    ) -> Charge:
        return Charge(
            arm=arm,
            purpose=purpose,
            operation=operation,
            count=count,
            cost=cost,
            flops_unpadded=unpadded,
            estimated=() if self.tokens.exact else _TOKENS,
            source=source,
        )


def training_record(lora: LoraParams, **more: object) -> Training:
    """The file's `lora_params` under the field's own names; the target modules are PEFT's default for this model."""
    known = {
        "epochs": lora.epochs,
        "learning_rate": lora.lr,
        "batch_size": lora.batch_size,
        "grad_accumulation": lora.grad_accum_steps,
        "rank": lora.rank,
        "alpha": lora.alpha,
        "dropout": lora.dropout,
        "target_modules": INNER_TARGETS,
        "max_length": MAX_LENGTH,
    }
    return Training.model_validate(known | more)


def training_texts(data: PassageFile) -> list[str] | None:
    """The training sequences that the file's edits make, each once; None where the rule for them is not stated."""
    split = data.split_newlines
    if split is None:
        return None
    return [
        text
        for article in data.articles
        for completion in article.completions
        for text in training_sequences(completion.text, article.context, article.title, split_newlines=split)
    ]


def training_sequences(edit: str, passage: str, title: str, *, split_newlines: bool) -> list[str]:
    """The texts that one edit is trained on, in order; the passage itself is always the last.

    Without line splitting, each part between ``---`` rules is one text, and an empty edit still yields a bare title.
    With it, each non-empty line of each part is one, and a first line is dropped as a heading where the second starts
    with "1."; but an edit that is recognised as questions with answers is cut before each question instead. Every text
    is prefixed by the title on a line of its own. This is ``build_train_sequences`` of the authors' repository.
    """
    parts = [part.strip() for part in edit.split("---") if part.strip()]
    if not split_newlines:
        bodies = parts or [edit.strip()]
    elif _NUMBERED_QUESTION.search(edit) and _PLAIN_ANSWER.search(edit):
        bodies = _questions_with_answers(edit.strip())
    else:
        bodies = _without_heading([line.strip() for part in parts for line in part.splitlines() if line.strip()])
    return [f"{title}\n{body}" for body in [*bodies, passage.strip()]]


def _questions_with_answers(edit: str) -> list[str]:
    # Only "Answer:" is recognised: a text that numbers its answers ("Answer 1:"), as most of the released self-QA texts
    # do, never gets here and is trained on line by line, question and answer apart.
    pieces = re.split(rf"\n(?={_NUMBERED_QUESTION.pattern})", edit)
    first = pieces[0] if pieces[0].lstrip().startswith("Question") else f"Question 1: {pieces[0].strip()}"
    return [first, *pieces[1:]]


def _without_heading(lines: list[str]) -> list[str]:
    return lines[1:] if len(lines) > 1 and lines[1].startswith("1.") else lines
