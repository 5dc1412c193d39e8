"""Grid tasks as problems: their text, their training sequences, the views and votes of the exam, their grade."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import final

from netgain.domains.augment import CAP, FLIP_0, GROUPS, ROTATE_90, ROTATE_180, ROTATE_270, TRANSPOSE, training_tasks
from netgain.domains.few_shot import FewShot, Lesson, View, Vote
from netgain.domains.grid import (
    BETWEEN_PAIRS,
    LONGEST_SIDE,
    Grid,
    GridTask,
    Shown,
    read,
    read_pairs,
    read_question,
    written,
    written_pairs,
    written_question,
)
from netgain.domains.problem import Grade, Material, Problem, Prompts, Question
from netgain.domains.voting import ATTEMPTS, GridView, grid_views, vote
from netgain.domains.wording import settings_format
from netgain.errors import InputError, nearest

MAX_TOKENS = 8192  # of a training sequence and of a question with its answer, as in SEAL
# SEAL's schema has a switch for each of these; the released code defines "concat" too and never offers it.
TOOLS: Mapping[str, str] = MappingProxyType({name: told for name, told in GROUPS.items() if name != "concat"})
_TELL = "Each pair shows a grid and what one and the same rule makes of it. Write the output of the last input, a grid."

# A base model is asked for settings by the mark that the shipped grid model was trained on, an instruct model is told
# what there is to choose.
GRID_PROMPTS = Prompts(
    closed="{question}",
    open_book="{question}",  # the pairs stand in every question: nobody reads them twice
    answered="{question}{answer}",
    formats=MappingProxyType({"settings": replace(settings_format(TOOLS), stop=(BETWEEN_PAIRS,))}),
    max_new_tokens=LONGEST_SIDE * (LONGEST_SIDE + 1) * 2,  # a cell is at most two tokens, its colour and a space
    cut=(BETWEEN_PAIRS,),
    lead="",
    chat_closed=f"{_TELL}\n\n{{question}}",
    chat_open_book=f"{_TELL}\n\n{{question}}",
)


@final
class GridShots(FewShot):
    """SEAL's training sequences and augmented prediction on grids; or, not ``augmented``, one greedy answer.

    ``max_tokens`` is the longest training sequence, and the longest question together with an answer of its input's
    size; ``count`` says how many tokens a text has. Without it every character is one, which no tokenizer exceeds, and
    which Llama 3's comes to: a colour and the space behind it are two.
    """

    tools: Mapping[str, str] = TOOLS

    def __init__(
        self,
        *,
        augmented: bool = True,
        attempts: int = ATTEMPTS,
        max_tokens: int = MAX_TOKENS,
        count: Callable[[str], int] = len,
        cap: int = CAP,
    ) -> None:
        if attempts not in (1, 2, 3) or max_tokens < 1 or cap < 1:
            rule = "attempts must be 1, 2 or 3, max_tokens and cap above 0"
            raise InputError(f"attempts {attempts}, max_tokens {max_tokens}, cap {cap}", rule)
        self.attempts = attempts
        self._augmented, self._max_tokens, self._count, self._cap = augmented, max_tokens, count, cap

    def lessons(self, material: Material, tools: Collection[str], seed: int) -> tuple[Lesson, ...]:
        """At most ``cap``, none longer than ``max_tokens``; what they show comes from the material alone.

        Raises InputError for a group that is none, and for a material that shows no pairs.
        """
        for tool in tools:
            if tool not in self.tools:
                raise InputError(f"tool {tool!r}", "is none of the grids'", nearest(tool, self.tools))
        examples = read_pairs(material.text)
        if not examples:
            raise InputError(material.id, "its text shows no pairs of grids", "it must be as written_pairs makes it")
        made = training_tasks(examples, tools, seed, cap=self._cap, fits=lambda task: self._fits(_lesson(task)))
        return tuple(_lesson(task) for task in made)

    def held_out(self, material: Material) -> tuple[Problem, ...]:
        """The pairs but one, and that one asked for; where there are three at least, so that training sequences can be
        made of the others."""
        pairs = read_pairs(material.text) or ()
        folds = [(*pairs[:index], *pairs[index + 1 :]) for index in range(len(pairs))] if len(pairs) > 2 else []
        tasks = [
            GridTask(f"{material.id} without {number}", shown, (pair,))
            for number, (shown, pair) in enumerate(zip(folds, pairs, strict=False), start=1)
        ]
        return tuple(grid_problem(task, "held-out pair") for task in tasks)

    def views(self, question: Question) -> tuple[View, ...]:
        """Not augmented, the question as it stands; else it in SEAL's forms, those that fit.

        Where none fits, or the question has no grids in it, as it stands: whether it can be answered is the model's to
        say.
        """
        pairs = read_question(question.text) if self._augmented else None
        views = () if pairs is None else grid_views(*pairs, fits=lambda view: self._fits(_expected(view)))
        return tuple(_view(view) for view in views) or (View(question.text),)

    def elect(self, question: Question, given: Sequence[Vote]) -> tuple[str, ...]:
        """The attempts of the two-stage vote, as text; an answer that is no grid has no vote."""
        grids = [(category, read(answer)) for category, answer in given]
        return tuple(
            written(grid) for grid in vote([(c, grid) for c, grid in grids if grid is not None], self.attempts)
        )

    def shown(self, text: str) -> tuple[tuple[str, str], ...]:
        """The pairs, and a question's input with an empty output, each grid as text."""
        question = read_question(text)
        pairs = (read_pairs(text) or ()) if question is None else question[0]
        known = [(written(pair.input), written(pair.output)) for pair in pairs]
        return tuple(known if question is None else [*known, (written(question[1]), "")])

    def forms(self, answer: str) -> tuple[str, ...]:
        """The eight symmetries of a grid. Colours and shifts can be undone as well, but are too many to list."""
        grid = read(answer)
        return (answer,) if grid is None else tuple(dict.fromkeys(written(one) for one in _symmetries(grid)))

    def _fits(self, lesson: Lesson) -> bool:
        return self._count(lesson.prompt + lesson.answer) < self._max_tokens


def _symmetries(grid: Grid) -> list[Grid]:
    turned = [grid, *(tool.on_output(grid) for tool in (ROTATE_90, ROTATE_180, ROTATE_270))]
    return [*turned, *(tool.on_output(one) for tool in (TRANSPOSE, FLIP_0) for one in (grid, turned[2]))]


def _lesson(task: GridTask) -> Lesson:
    (asked,) = task.tests
    return Lesson(written_question(task.examples, asked.input), written(asked.output))


def _expected(view: GridView) -> Lesson:
    """A view with an answer of its input's size, which is all that can be known beforehand."""
    return _lesson(GridTask("", view.examples, (Shown(view.asked, view.asked),)))


def _view(view: GridView) -> View:
    def undo(answer: str) -> str:
        grid = read(answer)
        return "" if grid is None else written(view.undone(grid))

    return View(written_question(view.examples, view.asked), view.tool.name, undo)


def grid_problem(task: GridTask, kind: str = "few-shot") -> Problem:
    """A task as a problem: a method sees its pairs, the exam asks for all its test outputs in one question."""
    return Problem(Material(task.id, task.id, written_pairs(task.examples)), (grid_question(task, kind),))


def grid_question(task: GridTask, kind: str) -> Question:
    """A task's tests as one question of this kind, with a part for each where there are several."""
    parts = [
        Question(written_question(task.examples, test.input), (written(test.output),), kind) for test in task.tests
    ]
    return parts[0] if len(parts) == 1 else _of_parts(parts)


def _of_parts(parts: Sequence[Question]) -> Question:
    text = "\n\n".join(part.text for part in parts)
    return Question(text, tuple(part.answers[0] for part in parts), parts[0].kind, parts=tuple(parts))


def grade_grid(question: Question, answer: str) -> Grade:
    """Right if the grid is. F1 is the share of the cells that are, 0 where the shape is wrong or there is no grid."""
    grids = [(read(answer), read(accepted)) for accepted in question.answers]
    share = max((_same_cells(given, right) for given, right in grids), default=0.0)
    exact = any(given is not None and given == right for given, right in grids)
    return Grade(exact=exact, f1=share, contains=exact)


def _same_cells(given: Grid | None, right: Grid | None) -> float:
    if given is None or right is None or (len(given), len(given[0])) != (len(right), len(right[0])):
        return 0.0
    same = [a == b for one, other in zip(given, right, strict=True) for a, b in zip(one, other, strict=True)]
    return sum(same) / len(same)
