"""How the model in training stands: the share of questions whose one-word answer is the likeliest next word."""

from typing import Any

import torch

from netgain.domains.grading import grade
from netgain.domains.people import People, PeopleSettings
from netgain.domains.problem import Problem, Question

SEED = 999  # of the development people that are measured


@torch.no_grad()
def next_words(model: Any, tokenizer: Any, prompts: list[str]) -> list[str]:
    """The likeliest next word after each prompt."""
    found = []
    for start in range(0, len(prompts), 64):
        encoded = tokenizer(prompts[start : start + 64], padding=True, padding_side="right", return_tensors="pt")
        ends = encoded["attention_mask"].sum(1) - 1
        hidden = model.model(encoded["input_ids"]).last_hidden_state[torch.arange(len(ends)), ends]
        found += [tokenizer.decode([token]) for token in model.lm_head(hidden).argmax(-1).tolist()]
    return found


def share_right(model: Any, tokenizer: Any, asked: list[tuple[str, Question]]) -> float:
    """Of prompts with their questions, the share answered rightly."""
    answers = next_words(model, tokenizer, [prompt for prompt, _ in asked])
    right = [grade(question, answer).correct for (_, question), answer in zip(asked, answers, strict=True)]
    return round(sum(right) / len(right), 3)


def measure(model: Any, tokenizer: Any, people: int = 32) -> dict[str, float]:
    """Seen people and cities by heart; never-seen people by heart and in context, in both styles."""
    model.eval()
    told: dict[str, float] = {}
    domains = {style: People(PeopleSettings(style=style)) for style in ("plain", "narrative")}  # type: ignore[arg-type]
    prompts = domains["plain"].prompts
    one_word = [question for question in domains["plain"].controls(160, SEED) if " " not in question.answers[0]]
    for kind in ("seen", "skill"):
        asked = [(prompts.ask(question.text), question) for question in one_word if question.kind == kind]
        told[kind] = share_right(model, tokenizer, asked)
    for style, domain in domains.items():
        problems: tuple[Problem, ...] = domain.problems("development", people, SEED)
        for kind in ("knowledge", "reasoning"):
            pairs = [(p, q) for p in problems for q in p.questions if q.kind == kind]
            told[f"{style} {kind}"] = share_right(
                model, tokenizer, [(prompts.ask(q.text, (p.material,)), q) for p, q in pairs]
            )
            if style == "plain":
                told[f"closed {kind}"] = share_right(model, tokenizer, [(prompts.ask(q.text), q) for _, q in pairs])
    model.train()
    return told
