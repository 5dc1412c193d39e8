"""From a self-edit to the texts that are trained on."""

import re

from netgain.domains.problem import EditFormat, Material, Prompts

_QUESTION = re.compile(r"(?=^\s*Question(?:\s*\d+)?\s*:)", re.MULTILINE)


def sequences(
    material: Material, edit: str, form: EditFormat, prompts: Prompts, with_passage: bool = True
) -> tuple[str, ...]:
    """The training texts that one edit becomes, each under the passage's title; the passage itself is the last."""
    if form.splitting == "document":
        bodies = [edit.strip()]
    elif form.splitting == "questions":
        bodies = [part.strip() for part in _QUESTION.split(edit)]
    else:
        bodies = [line.strip() for line in edit.splitlines()]
    bodies = [body for body in bodies if body]
    if with_passage:
        bodies.append(material.text)
    return tuple(prompts.titled.format(title=material.title, text=body) for body in bodies)
