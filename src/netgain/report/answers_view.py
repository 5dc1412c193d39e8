"""Every answer and every text of a trial, for browsing: a page for each problem, one for each outer loop, and an index.

Pages are cut into pieces of about :data:`PIECE` characters, so that a large trial stays a folder of small pages. Search
on the index looks through questions, right answers, given answers and the words of all texts; it needs JavaScript, and
everything else works without.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import final

from netgain.analysis.verdict import ArmRow, Verdict
from netgain.records.learning import EditRound
from netgain.records.provenance import ExaminedProblem, ExaminedQuestion
from netgain.records.samples import Adaptation, GradedAnswer
from netgain.report.numbers import clean, percent
from netgain.report.page import fill
from netgain.report.summary import subjects
from netgain.trials.outcome import Cell, Outcome, arm_name

PIECE = 300_000  # characters of text in one page, about
FOLDER = "answers"
EXAMPLE_ARMS = 4
WORDS = re.compile(r"\w{3,}")


@final
@dataclass(frozen=True)
class ShownGrade:
    """An answer as a page has it: its text, whether it counts as right, every grade in words (``agreed``: they say no
    more than that), and how the frozen model's own answer became it (``fixed``, ``broken`` or nothing)."""

    text: str
    right: bool
    grades: str
    agreed: bool
    change: str = ""


@final
@dataclass(frozen=True)
class ExampleAnswers:
    """A question of the exam with its right answers, and what some arms answered: label, seed, answer."""

    domain: str
    title: str
    passage: str
    question: str
    gold: tuple[str, ...]
    given: list[tuple[str, int, ShownGrade]]


@final
@dataclass(frozen=True)
class ArmBlock:
    """One arm at one budget on one problem: for each seed its answers by question, and what it wrote."""

    title: str
    role: str
    right: float | None
    rows: list[Adaptation]
    answers: dict[str, dict[int, ShownGrade]]

    @property
    def size(self) -> int:
        """About how many characters it takes on a page."""
        cells = sum(len(one.text) + 60 for found in self.answers.values() for one in found.values())
        return cells + sum(len(edit.text) + 40 for row in self.rows for edit in row.edits)


@final
class AnswerPages:
    """The pages of one trial. ``examined`` says what was asked; without it questions go by their hashes."""

    def __init__(self, outcome: Outcome, verdict: Verdict, examined: Iterable[ExaminedProblem]) -> None:
        self.outcome, self.verdict = outcome, verdict
        self.examined = list(examined)
        self.problems = {(one.domain, one.problem): one for one in self.examined}
        self.asked = {(p.domain, q.question): q for p in self.problems.values() for q in p.questions}
        self.arms = {arm.name: arm for arm in verdict.arms}
        self._rows: dict[Cell, dict[str, list[Adaptation]]] = {}  # by problem, so that no page looks through all rows
        for cell, adaptations in outcome.adaptations.items():
            of_cell = self._rows[cell] = {}
            for (_, problem), row in sorted(adaptations.items()):
                of_cell.setdefault(problem, []).append(row)
        self._own = {domain: self._compared(domain) for domain in outcome.spec.domains}
        self.files: dict[str, str] = {}

    def render(self) -> dict[str, str]:
        """All pages by their names in :data:`FOLDER`, beside the trial's own page. Same records, same bytes."""
        several, index = len(self.outcome.spec.domains) > 1, []
        everything = [(d, p) for d in self.outcome.spec.domains for p in self._order(d)]
        names = [f"problem-{number:04d}" for number in range(1, len(everything) + 1)]
        for number, (domain, problem) in enumerate(everything):
            around = {"before": names[number - 1] if number else "", "after": (*names, "")[number + 1]}
            index.append(self._problem(domain, problem, names[number], around, several=several))
        loops = self._loops()
        self.files["index.html"] = fill(
            "answers.html.j2",
            extra="answers",
            v=self.verdict,
            problems=index,
            arms={domain: [arm.label for _, arm in self._own[domain]] for domain in self.outcome.spec.domains},
            loops=loops,
            kind=self.outcome.spec.compare.exam,
            told=bool(self.asked),
            percent=percent,
        )
        return self.files

    def examples(self) -> list[ExampleAnswers]:
        """Of every domain a question of the kind that decides, with what the arms that matter answered: the one that
        the set-up keeps, else the first that is known."""
        setup = self.verdict.setup
        kept = {one.domain: one for one in setup.examined} if setup else {}
        drawn = {task.setting for task in setup.tasks} if setup else set()  # their answers are drawn on the page
        found = []
        for domain in (name for name in self.outcome.spec.domains if name not in drawn):
            problem = next(iter(self._order(domain)), "")
            known = kept.get(domain) or self.problems.get((domain, problem))
            kind = self.outcome.spec.compare.exam
            asked = next((one for one in known.questions if one.kind == kind), None) if known else None
            if known is None or asked is None:
                continue
            blocks = [block for cell, _ in self._own[domain] if (block := self._block(cell, known.problem))]
            given = [
                (block.title, block.rows[0].seed, answer)
                for block in blocks[:EXAMPLE_ARMS]
                if (answer := block.answers.get(asked.question, {}).get(block.rows[0].seed))
            ]
            passage = _short(" ".join(known.text.split()), 400)
            found.append(ExampleAnswers(domain, known.title, passage, asked.text, asked.answers, given))
        return found

    # -- what there is

    def _order(self, domain: str) -> list[str]:
        asked = [name for d, name in self.problems if d == domain and name]
        found = dict.fromkeys(
            p for cell, rows in self.outcome.adaptations.items() if cell[0] == domain for _, p in rows
        )
        return [*(name for name in asked if name in found), *(name for name in found if name not in asked)]

    def _compared(self, domain: str) -> list[tuple[Cell, ArmRow]]:
        """The arms as they are compared: frozen first, then the one under test, then by accuracy."""
        tested = subjects(self.verdict).get(domain)
        found = [
            (cell, self.arms[name])
            for cell in self.outcome.cells()
            if cell[0] == domain and (name := arm_name(cell, self.outcome.spec)) in self.arms and self.arms[name].own
        ]
        found.sort(key=lambda one: (one[1].role != "frozen", one[1].name != tested, -(one[1].accuracy or 0.0)))
        return found

    def _frozen(self, domain: str) -> Mapping[tuple[int, str], Adaptation]:
        own = self._own[domain]
        return self.outcome.adaptations[own[0][0]] if own and own[0][1].role == "frozen" else {}

    # -- a problem

    def _problem(
        self, domain: str, problem: str, name: str, around: dict[str, str], *, several: bool
    ) -> dict[str, object]:
        known = self.problems.get((domain, problem))
        own, title = self._own[domain], known.title if known and known.title else problem
        names = [cell for cell, _ in own]
        cells = [*names, *(c for c in self.outcome.cells() if c[0] == domain and c not in names)]
        made = {cell: block for cell in cells if (block := self._block(cell, problem))}
        blocks, compared = list(made.values()), [(arm, made[cell]) for cell, arm in own if cell in made]
        asked = list(dict.fromkeys(q for block in blocks for q in block.answers))
        questions = [self._question(domain, one, blocks) for one in asked]
        pieces = list(_pieces(blocks))
        for number, piece in enumerate(pieces):
            self.files[f"{_piece(name, number)}.html"] = fill(
                "answers_problem.html.j2",
                extra="answers",
                v=self.verdict,
                title=title,
                problem=problem,
                domain=domain if several else "",
                text=known.text if known else "",
                questions=questions,
                compared=compared if number == 0 else [],
                first=next((row.seed for _, block in compared for row in block.rows), 0),
                blocks=piece,
                pieces=[f"{_piece(name, other)}.html" for other in range(len(pieces))] if len(pieces) > 1 else [],
                number=number,
                percent=percent,
                short=_short,
                **around,
            )
        return {
            "href": f"{name}.html",
            "title": title,
            "domain": domain if several else "",
            "snippet": _short(" ".join(known.text.split()), 160) if known else "",
            "right": {arm.label: block.right for arm, block in compared},
            "search": self._search(title, problem, known, questions, blocks),
        }

    def _question(self, domain: str, name: str, blocks: Sequence[ArmBlock]) -> ExaminedQuestion:
        known = self.asked.get((domain, name))
        if known is not None:
            return known
        kinds = (
            answer.kind for block in blocks for row in block.rows for answer in row.answers if answer.question == name
        )
        return ExaminedQuestion(question=name, kind=next(kinds, ""), text="", answers=())

    def _block(self, cell: Cell, problem: str) -> ArmBlock | None:
        rows = self._rows[cell].get(problem, [])
        arm = self.arms.get(arm_name(cell, self.outcome.spec))
        if not rows or arm is None:
            return None
        frozen, answers = self._frozen(cell[0]), dict[str, dict[int, ShownGrade]]()
        for row in rows:
            beside = frozen.get((row.seed, problem))
            before = {one.question: one.correct for one in beside.answers} if beside else {}
            for one in row.answers:
                change = "" if arm.role == "frozen" else _change(before.get(one.question), right=one.correct)
                shown = ShownGrade(one.text, one.correct, *_grades(one), change)
                answers.setdefault(one.question, {})[row.seed] = shown
        kind = self.outcome.spec.compare.exam
        primary = [float(one.correct) for row in rows for one in row.answers if one.kind == kind]
        return ArmBlock(arm.label, arm.role, fmean(primary) if primary else None, rows, answers)

    def _search(
        self,
        title: str,
        problem: str,
        known: ExaminedProblem | None,
        questions: Sequence[ExaminedQuestion],
        blocks: Sequence[ArmBlock],
    ) -> str:
        """Words to look through, each once: of the material, questions, right and given answers, and texts."""
        parts = [title, problem, known.text if known else ""]
        parts += [part for one in questions for part in (one.text, *one.answers)]
        parts += [grade.text for block in blocks for found in block.answers.values() for grade in found.values()]
        parts += [edit.text for block in blocks for row in block.rows for edit in row.edits]
        return " ".join(sorted({word.lower() for part in parts for word in WORDS.findall(clean(part))}))

    # -- outer loops

    def _loops(self) -> list[dict[str, object]]:
        """A page for each outer loop whose candidates were written down; of the others that they were not."""
        found: list[dict[str, object]] = []
        for cell, rows in self.outcome.investments.items():
            arm = self.arms.get(arm_name(cell, self.outcome.spec))
            label = arm.label if arm else cell[1]
            for seed, row in sorted(rows.items()):
                if not row.edits and not row.rewards:
                    continue
                name = f"loop-{len(found) + 1:03d}"
                edits = [edit for one in row.edits for context in one.contexts for edit in context]
                told = {"arm": label, "domain": cell[0], "seed": seed, "rounds": len(row.edits or row.rewards)}
                counts = {"edits": len(edits), "kept": sum(edit.kept for edit in edits)}
                found.append({**told, **counts, "href": f"{name}.html" if row.edits else ""})
                if row.edits:
                    self._loop(name, row.edits, told)
        return found

    def _loop(self, name: str, rounds: Sequence[EditRound], told: dict[str, object]) -> None:
        self.files[f"{name}.html"] = fill(
            "answers_loop.html.j2",
            extra="answers",
            v=self.verdict,
            rounds=rounds,
            told=told,
            fmean=fmean,
            points=_score,
        )


def _score(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _grades(answer: GradedAnswer) -> tuple[str, bool]:
    """Every grade of an answer in words, what was not graded left out; and whether all of them say the same."""
    told = [("exact match", answer.matched), ("contains", answer.contains), ("judge", answer.judged)]
    known = [(name, value) for name, value in told if value is not None]
    parts = [f"{name} {'yes' if value else 'no'}" for name, value in known]
    parts.insert(min(2, len(parts)), f"F1 {answer.f1:.2f}")
    beside = ["cut: as long as it may be"] if answer.cut else []
    beside += [f"{answer.votes} votes"] if answer.votes > 1 else []
    agreed = not beside and all(value == answer.correct for _, value in known) and answer.f1 == float(answer.correct)
    return ", ".join([*parts, *beside]), agreed


def _change(before: bool | None, *, right: bool) -> str:
    if before is None or before == right:
        return ""
    return "fixed" if right else "broken"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most].rsplit(" ", 1)[0] + " …"


def _piece(name: str, number: int) -> str:
    return name if number == 0 else f"{name}-{number + 1}"


def _pieces(blocks: Sequence[ArmBlock]) -> Iterator[list[ArmBlock]]:
    """The blocks in their order, as many to a piece as fit; one block is never cut."""
    piece: list[ArmBlock] = []
    size = 0
    for block in blocks:
        if piece and size + block.size > PIECE:
            yield piece
            piece, size = [], 0
        piece.append(block)
        size += block.size
    yield piece
