"""The tokenizer of the shipped grid model: a token a cell, a row end, a mark of the text form or a word of settings."""

import json
from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from netgain.domains.grid import BEFORE_INPUT, BEFORE_OUTPUT, BETWEEN_PAIRS

SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
BEFORE_SETTINGS = "Settings:\n"
MARKS = (BEFORE_INPUT, BEFORE_OUTPUT, BEFORE_SETTINGS, BETWEEN_PAIRS, "\n")
RATES = ("0.0001", "0.0003", "0.001", "0.003", "0.01", "0.03", "0.1")
EPOCHS = ("1", "2", "3", "4", "5", "6", "8", "10", "12", "16")
TOOLS = ("use_basic_augmentations", "use_size_augmentations", "use_chain_augmentations", "use_repeat_augmentations")
STRATEGIES = ("train_using_all_tokens", "train_using_output_tokens")
KEYS = ("data_generation", *TOOLS, "training", "strategy", *STRATEGIES, "learning_rate", "num_train_epochs")
WORDS = (
    *map(str, range(10)),
    *MARKS,
    *("{", "}", ":", ",", "true", "false"),
    *(f'"{key}"' for key in KEYS),
    *RATES,
    *(epochs for epochs in EPOCHS if len(epochs) > 1),
)
_PIECES = r'Input:\n|\nOutput:\n|Settings:\n|\n\n|\n|"\w+"|\d+\.\d+|\w+|[^\w\s]'


def settings_text(tools: Iterable[bool], strategy: str, rate: str, epochs: str) -> str:
    """A self-edit of SEAL's schema as the corpus has it, on one line."""
    flags = json.dumps({"data_generation": dict(zip(TOOLS, tools, strict=True))})
    numbers = f'"learning_rate": {rate}, "num_train_epochs": {epochs}'
    return f'{flags[:-1]}, "training": {{"strategy": "{strategy}", {numbers}}}}}'


def build(longest: int) -> PreTrainedTokenizerFast:
    """The tokenizer, which begins every text with ``<s>`` and writes a space between any two tokens of a line."""
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate([*SPECIAL, *WORDS])}, unk_token=SPECIAL[-1]))
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(" ", "removed"), pre_tokenizers.Split(Regex(_PIECES), "isolated")]
    )
    inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    breaks = [decoders.Replace(" \n", "\n"), decoders.Replace("\n ", "\n")]
    inner.decoder = decoders.Sequence([decoders.WordPiece(prefix="##", cleanup=False), decoders.Fuse(), *breaks])
    names = dict(zip(("pad_token", "bos_token", "eos_token", "unk_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, **names, model_max_length=longest, clean_up_tokenization_spaces=False
    )
