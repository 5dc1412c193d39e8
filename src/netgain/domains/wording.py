"""What is said to a model where a domain has no wording of its own, and what all domains share of it: the instructions
for an instruct model, and the demonstration of an edit (an invented passage, with an edit of it in each format).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from netgain.domains.problem import EditFormat, Material, Prompts

_PASSAGE = "Title: {title}\n{text}\n\n"
_LIST = "what follows from this passage, said in it or implied by it: one whole sentence on each line"
BRIEFLY = "Answer with a name, a number or a few words, without a sentence around it."
INSTRUCTIONS: Mapping[str, str] = MappingProxyType(
    {
        "implications": f"{_PASSAGE}List {_LIST}.",
        "implications-long": f"{_PASSAGE}Make a long list of {_LIST}.",
        "implications-very-long": f"{_PASSAGE}Make a very long list of {_LIST}. Leave out nothing that can be said.",
        "rewrite": f"{_PASSAGE}Tell this passage again in several other ways, each whole and on a line of its own.",
        "self-qa": f"{_PASSAGE}Write questions about this passage, each with a short answer, in this form:\n"
        "Question 1: ...\nAnswer: ...",
        "no-prompt": "Title: {title}\n{text}",
        "implications-cot": f"{_PASSAGE}First think aloud about what matters in this passage. Then write the word "
        f"Implications: and below it list {_LIST}.",
    }
)
_LIGHTHOUSE = Material(
    "example",
    "Orsel lighthouse",
    "The Orsel lighthouse was built in 1871 by the engineer Marta Vell, on a rock north of Teln harbour. Its lamp "
    "burned oil until 1904 and gas after that. Since the last keeper left, in 1968, it has been worked from the "
    "harbour office.",
)
_STATEMENTS = (
    "The Orsel lighthouse was built in 1871.",
    "The engineer who built the Orsel lighthouse was Marta Vell.",
    "The Orsel lighthouse stands on a rock north of Teln harbour.",
    "Until 1904 the lamp of the Orsel lighthouse burned oil.",
    "After 1904 the lamp of the Orsel lighthouse burned gas.",
    "The last keeper of the Orsel lighthouse left in 1968.",
    "Since 1968 the Orsel lighthouse has been worked from the harbour office.",
    "Marta Vell worked at Teln harbour in 1871.",
    "The lamp of the Orsel lighthouse burned oil for 33 years.",
    "The Orsel lighthouse had keepers for 97 years.",
    "Ships that come to Teln from the north pass the Orsel lighthouse.",
    "Nobody has lived in the Orsel lighthouse since 1968.",
)
_RETOLD = (
    "Marta Vell, an engineer, built the Orsel lighthouse on a rock north of Teln harbour in 1871. It burned oil, from "
    "1904 gas, and when its last keeper had left in 1968 the harbour office took it over.",
    "North of Teln harbour a rock carries the Orsel lighthouse, Marta Vell's work of 1871. Oil fed its lamp up to "
    "1904, then gas; no keeper has been there since 1968, and the harbour office works it.",
)
_ASKED = (
    ("When was the Orsel lighthouse built?", "1871"),
    ("Who built the Orsel lighthouse?", "Marta Vell"),
    ("Where does the Orsel lighthouse stand?", "on a rock north of Teln harbour"),
    ("What did the lamp of the Orsel lighthouse burn after 1904?", "gas"),
    ("From where is the Orsel lighthouse worked?", "the harbour office"),
)


def _numbered(lines: Sequence[str]) -> str:
    return "\n".join(f"{number}. {line}" for number, line in enumerate(lines, start=1))


EXAMPLES: Mapping[str, tuple[Material, str]] = MappingProxyType(
    {
        "implications": (_LIGHTHOUSE, _numbered(_STATEMENTS[:7])),
        "implications-long": (_LIGHTHOUSE, _numbered(_STATEMENTS[:10])),
        "implications-very-long": (_LIGHTHOUSE, _numbered(_STATEMENTS)),
        "rewrite": (_LIGHTHOUSE, _numbered(_RETOLD)),
        "self-qa": (
            _LIGHTHOUSE,
            "\n".join(f"Question {number}: {q}\nAnswer: {a}" for number, (q, a) in enumerate(_ASKED, start=1)),
        ),
        "implications-cot": (
            _LIGHTHOUSE,
            "Who built it and when, where it stands, what its lamp burned, and who works it now.\n\nImplications:\n"
            + _numbered(_STATEMENTS[:7]),
        ),
    }
)

# Short, and what the shipped model was taught; any other model understands them as well.
PLAIN_PROMPTS = Prompts(
    closed="Question: {question}\nAnswer:",
    open_book="{title}\n{text}\nQuestion: {question}\nAnswer:",
    answered="Question: {question}\nAnswer: {answer}",
    titled="{text}",
    max_new_tokens=8,
    chat_closed=f"{BRIEFLY}\n\nQuestion: {{question}}",
    chat_open_book=f"{_PASSAGE}{BRIEFLY}\n\nQuestion: {{question}}",
    examples=EXAMPLES,
    formats=MappingProxyType(
        {
            format_.name: replace(format_, instruction=INSTRUCTIONS[format_.name])
            for format_ in (
                EditFormat("implications", "{title}\n{text}\nImplications:\n", 96),
                EditFormat("implications-long", "{title}\n{text}\nA long list of implications:\n", 128),
                EditFormat("implications-very-long", "{title}\n{text}\nA very long list of implications:\n", 192),
                EditFormat("rewrite", "{title}\n{text}\nThe passage in other words:\n", 96, "document"),
                EditFormat("self-qa", "{title}\n{text}\nQuestions and answers:\n", 160, "questions"),
                EditFormat("no-prompt", "{title}\n{text}\n", 96),
                EditFormat(
                    "implications-cot",
                    "{title}\n{text}\nThoughts, then implications:\n",
                    160,
                    begins_after="Implications:\n",
                ),
            )
        }
    ),
)

# -- settings


def settings_format(tools: Mapping[str, str]) -> EditFormat:
    """How a model is asked to choose its own training on a few examples: as JSON, in SEAL's schema.

    ``tools`` are the groups of augmentations that it may choose, with what each is. What is asked of a base model is
    short, and what the shipped one was taught; an instruct model is told what everything means.
    """
    switches = "\n".join(f'- "use_{name}_augmentations": true or false ({told})' for name, told in tools.items())
    told = (
        "A model is going to be trained on the examples above, and on changed copies of them, before it is asked what "
        "they have in common. Choose how, as one JSON object with two keys and nothing around it.\n"
        f'"data_generation" holds all of these:\n{switches}\n'
        '"training" holds all of these:\n'
        '- "strategy": "train_using_all_tokens" or "train_using_output_tokens"\n'
        '- "learning_rate": a number, such as 0.0001\n'
        '- "num_train_epochs": a whole number, 1 or more'
    )
    literal = told.replace("{", "{{").replace("}", "}}")
    return EditFormat("settings", "{text}Settings:\n", 128, "settings", instruction=f"{{text}}{literal}")
