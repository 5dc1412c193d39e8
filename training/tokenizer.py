"""The word-level tokenizer of the shipped model: a token a word, a mark or a line break, and text that reads well."""

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")


def build(words: list[str], longest: int) -> PreTrainedTokenizerFast:
    """A tokenizer over these words, which begins every text with ``<s>``."""
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate([*SPECIAL, *words])}, unk_token=SPECIAL[-1]))
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(" ", "removed"), pre_tokenizers.Split(Regex(r"\n|\w+|[^\w\s]"), "isolated")]
    )
    inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    marks = [decoders.Replace(f" {mark}", mark) for mark in ".,?:"]
    breaks = [decoders.Replace(" \n", "\n"), decoders.Replace("\n ", "\n")]
    inner.decoder = decoders.Sequence(
        [decoders.WordPiece(prefix="##", cleanup=False), decoders.Fuse(), *marks, *breaks]
    )
    names = dict(zip(("pad_token", "bos_token", "eos_token", "unk_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        **names,
        model_max_length=longest,
        clean_up_tokenization_spaces=False,
    )
