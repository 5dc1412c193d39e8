"""Derive the inner loop's workload from SEAL's published training round: figures only, no text.

Usage: python benchmarks/derive_lengths.py PATH/TO/rank_iter0.json benchmarks/data/inner_loop_lengths.json

For each of 50 passages x 5 self-edits: the lengths of its training sequences and of its question prompts, in tokens
(characters / 4.6, at least 2; no tokenizer is needed).
"""

import json
import sys
from pathlib import Path
from typing import Any

CHARACTERS_PER_TOKEN = 4.6
EPOCHS, REPEATS = 10, 3
# what the published server puts around a question: an instruction and a cue for the answer
PROMPT = "Let's answer a question directly and concisely.\nQuestion: {question}\nAnswer:\n"


def tokens(text: str) -> int:
    """The length of a text in tokens, as estimated."""
    return max(2, round(len(text) / CHARACTERS_PER_TOKEN))


def training_texts(completion: str, title: str, passage: str) -> list[str]:
    """The sequences that one self-edit is turned into."""
    lines = [line.strip() for part in completion.split("---") for line in part.strip().split("\n")]
    lines = [line for line in lines if line]
    if len(lines) >= 2 and lines[1].startswith("1."):
        lines = lines[1:]
    return [f"{title}\n{line}" for line in lines] + [f"{title}\n{passage}"]


def derive(published: dict[str, Any]) -> dict[str, Any]:
    """The figures file's content."""
    loops = []
    for article in published["articles"]:
        for completion in article["completions"]:
            texts = training_texts(completion["text"], article["title"], article["context"])
            first = [question for question in completion["questions"] if question["rep"] == 0]
            prompts = [tokens(PROMPT.format(question=question["question"])) for question in first]
            loops.append({"sequences": [tokens(text) for text in texts], "prompts": prompts})
    updates = EPOCHS * sum(len(loop["sequences"]) for loop in loops) * REPEATS
    positions = EPOCHS * sum(sum(loop["sequences"]) for loop in loops) * REPEATS
    return {
        "source": "SEAL, knowledge incorporation, query_server/train/rank_iter0.json",
        "characters_per_token": CHARACTERS_PER_TOKEN,
        "epochs": EPOCHS,
        "repeats": REPEATS,
        "shared_prompt_tokens": tokens(PROMPT.split("{question}")[0]),
        "round": {"loops": len(loops) * REPEATS, "updates": updates, "real_tokens": positions},
        "loops": loops,
    }


def main() -> None:
    """Read the published file, write the figures."""
    source, target = (Path(argument) for argument in sys.argv[1:3])
    figures = derive(json.loads(source.read_text(encoding="utf-8")))
    head = {key: value for key, value in figures.items() if key != "loops"}
    loops = ",\n".join("    " + json.dumps(loop) for loop in figures["loops"])
    target.write_text(json.dumps(head, indent=2)[:-2] + ',\n  "loops": [\n' + loops + "\n  ]\n}\n", encoding="utf-8")
    print(json.dumps(figures["round"]))


if __name__ == "__main__":
    main()
