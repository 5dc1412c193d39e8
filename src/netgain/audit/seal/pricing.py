"""What SEAL's configuration implies: sequences, updates, positions and FLOPs of each piece of work, as charges."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from netgain.audit.seal import rules
from netgain.audit.seal.files import LoraParams, PassageFile
from netgain.metering.estimate import context_sum
from netgain.metering.price import Lora, forward_flops, training_flops
from netgain.metering.shape import ModelShape
from netgain.records.claim import Charge, Purpose, Training
from netgain.records.cost import Cost, Currency
from netgain.records.provenance import Source
from netgain.tokens import TokenCounter

ANSWER_TOKENS = 64
_TOKENS = (Currency.TOKENS_REAL, Currency.TOKENS_GENERATED)


@final
@dataclass(frozen=True)
class Pricing:
    """Writes charges for one stated model, with one way of counting tokens. All amounts are totals, not per problem."""

    shape: ModelShape
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
        lengths = [min(length, rules.MAX_LENGTH) for length in self.tokens.count(texts)]
        cost, unpadded = self._training(lengths, data.lora_params, times=repeats)
        return self._charge(name, Purpose.ADAPT, "train a LoRA adapter", loops, cost, source, unpadded)

    def _training(self, lengths: Sequence[float], lora: LoraParams, times: int) -> tuple[Cost, float | None]:
        """The cost of LoRA training on sequences of these lengths, padded; and its FLOPs without the padding."""
        padded = self.padded_training(len(lengths), lora, times)
        if padded.updates is None or lora.epochs is None or lora.rank is None:
            return Cost(), None
        passes = lora.epochs * times
        positions, context = sum(lengths) * passes, context_sum(lengths) * passes
        adapter = Lora(lora.rank, rules.INNER_TARGETS)
        unpadded = training_flops(self.shape, adapter, positions, context, positions, padded.updates)
        return dataclasses.replace(padded, tokens_real=positions), unpadded

    def padded_training(self, sequences: int, lora: LoraParams, times: int = 1) -> Cost:
        """What follows from the number of sequences alone: updates, padded positions, FLOPs. Unknown stays unknown."""
        batch, steps = lora.batch_size, lora.grad_accum_steps
        if lora.epochs is None or lora.rank is None or batch is None or steps is None:
            return Cost()
        passes = lora.epochs * times
        updates = math.ceil(sequences * passes / (batch * steps))
        padded = sequences * passes * rules.MAX_LENGTH
        square = sequences * passes * context_sum([rules.MAX_LENGTH])
        flops = training_flops(self.shape, Lora(lora.rank, rules.INNER_TARGETS), padded, square, padded, updates)
        return Cost(updates=updates, tokens_padded=padded, flops=flops)

    def proposals(self, name: str, file: str, data: PassageFile, *, local: bool, purpose: Purpose) -> Charge | None:
        """Writing the edits: tokens generated, and their FLOPs unless a teacher wrote them."""
        written = [(article.prompt, completion.text) for article in data.articles for completion in article.completions]
        written = [(prompt, text) for prompt, text in written if text.strip()]
        if not written:
            return None
        prompts, texts = (self.tokens.count([pair[i] for pair in written]) for i in (0, 1))
        ends = [prompt + text for prompt, text in zip(prompts, texts, strict=True)]
        flops = forward_flops(self.shape, sum(ends), context_sum(ends, "causal"), sum(texts)) if local else None
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
        prompts = self.tokens.count(
            [rules.ANSWER_PROMPT.format(title=title, question=q.question) for title, q in asked]
        )
        replies = [text for _, q in asked for text in (q.baseline_answer, q.adapter_answer)]
        generated = [min(length, ANSWER_TOKENS) for length in self.tokens.count(replies)]
        ends = [prompt + generated[2 * i + side] for i, prompt in enumerate(prompts) for side in (0, 1)]
        flops = forward_flops(self.shape, sum(ends), context_sum(ends, "causal"), sum(generated))
        cost = Cost(
            updates=0, tokens_real=sum(ends), tokens_padded=sum(ends), tokens_generated=sum(generated), flops=flops
        )
        answered = self._charge(name, purpose, "answer a question", len(replies), cost, source, flops)
        calls = sum(1 for text in replies if text.strip())
        graded = Charge(
            arm=name, purpose=purpose, operation="grade by GPT-4.1", count=calls, cost=Cost(updates=0), source=source
        )
        return [answered, graded]

    def outer_training(self, name: str, file: str, pairs: Sequence[tuple[str, str]]) -> Charge:
        """The outer loop's supervised fine-tuning on the kept (prompt, edit) pairs: paper, appendix B."""
        lengths = self.tokens.count([prompt + edit for prompt, edit in pairs])
        passes = rules.OUTER_EPOCHS
        updates = math.ceil(len(pairs) / rules.OUTER_BATCH) * passes
        positions = sum(lengths) * passes
        adapter = Lora(rules.OUTER_RANK, rules.OUTER_TARGETS)
        flops = training_flops(self.shape, adapter, positions, context_sum(lengths) * passes, positions, updates)
        cost = Cost(updates=updates, tokens_real=positions, flops=flops)
        note = f"{passes} epochs, batch {rules.OUTER_BATCH}, LoRA rank {rules.OUTER_RANK} on all linear layers"
        source = Source(file=rules.PAPER, field="appendix B", note=f"{note}; the pairs from {file}")
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
        "target_modules": rules.INNER_TARGETS,
        "max_length": rules.MAX_LENGTH,
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
        for text in rules.training_sequences(completion.text, article.context, article.title, split_newlines=split)
    ]
