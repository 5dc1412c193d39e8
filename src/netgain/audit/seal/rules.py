"""SEAL's rules, in our words: which training sequences an edit becomes, and what a file's name says about an arm.

Sources: the authors' repository at 4cb1e7d and the paper (arXiv 2506.10943), section 3 and appendix B.
"""

import re
from dataclasses import dataclass
from typing import final

from netgain.records.claim import Role

MODEL = "Qwen/Qwen2.5-7B"
INNER_TARGETS = ("q_proj", "v_proj")
OUTER_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
MAX_LENGTH = 2048
OUTER_EPOCHS, OUTER_BATCH, OUTER_RANK = 2, 10, 64
ANSWER_PROMPT = "Let's answer a question directly and concisely.\nQuestion: Topic: {title} {question}\nAnswer:\n"
PAPER = "arXiv 2506.10943"
PAPER_ACCURACY = {
    ("implications", 1): 0.437,
    ("implications", 2): 0.470,
    ("implications", 0): 0.397,
    ("implications-long", 0): 0.493,
    ("implications-long", 1): 0.524,
    ("implications-long", 2): 0.544,
    ("implications-very-long", 0): 0.450,
    ("implications-very-long", 1): 0.515,
    ("implications-very-long", 2): 0.521,
    ("rewrite", 0): 0.494,
    ("rewrite", 1): 0.553,
    ("rewrite", 2): 0.556,
    ("self-qa", 0): 0.373,
    ("self-qa", 1): 0.428,
    ("self-qa", 2): 0.487,
}
PAPER_PASSAGE_ACCURACY, PAPER_TEACHER_ACCURACY = 0.335, 0.463
_PROMPT_NAMES = {"long": "implications-long", "very-long": "implications-very-long"}
_NUMBERED_QUESTION = re.compile(r"Question\s+\d+:")
_PLAIN_ANSWER = re.compile(r"Answer\s*:")


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


@final
@dataclass(frozen=True, slots=True)
class Identity:
    """What the name of a result file says: who wrote the edits, under which prompt, after how many outer rounds."""

    role: Role
    label: str
    prompt: str
    round: int | None


def identify(stem: str, *, has_edits: bool) -> Identity:
    """Read an arm's identity from its file name: ``iter2_prompt-rewrite`` is round 2 with the rewrite prompt."""
    name, _, suffix = stem.removeprefix("cpt_").partition("_prompt-")
    prompt = _PROMPT_NAMES.get(suffix, suffix) or "implications"
    round_match = re.match(r"iter(\d+)$", name)
    if name == "naive" or not has_edits:
        return Identity(Role.PASSAGE, "passage only", "", None)
    if name == "base":
        return Identity(Role.SYNTHETIC, f"{prompt} R0", prompt, 0)
    if round_match and int(round_match.group(1)) > 0:
        return Identity(
            Role.SELF_IMPROVING, f"SEAL {prompt} R{round_match.group(1)}", prompt, int(round_match.group(1))
        )
    if re.match(r"(gpt|o\d|claude|gemini|deepseek|llama|mistral)", name):
        return Identity(Role.TEACHER, f"{teacher_label(name)} {prompt}", prompt, None)
    return Identity(Role.OTHER, f"{name} {prompt}", prompt, None)


def teacher_label(name: str) -> str:
    """``gpt4_1`` as people write it: ``GPT-4.1``."""
    found = re.match(r"gpt(\d)_(\d)$", name)
    return f"GPT-{found.group(1)}.{found.group(2)}" if found else name


def paper_accuracy(identity: Identity) -> float | None:
    """What the paper's tables (2 and the prompt table) state for a single-passage arm, where they do."""
    if identity.role is Role.PASSAGE:
        return PAPER_PASSAGE_ACCURACY
    if identity.role is Role.TEACHER and identity.prompt == "implications":
        return PAPER_TEACHER_ACCURACY
    return PAPER_ACCURACY.get((identity.prompt, identity.round)) if identity.round is not None else None
