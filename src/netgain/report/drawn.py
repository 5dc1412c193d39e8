"""Tasks of a few examples and what was chosen for them: grids as grids, and the choices before and after learning."""

from collections.abc import Sequence
from typing import NamedTuple, final

from markupsafe import Markup

from netgain.analysis.rows import ChosenRow
from netgain.analysis.verdict import Verdict
from netgain.records.learning import ChosenTraining, ShownAnswer
from netgain.records.provenance import ShownTask
from netgain.report import numbers, summary, svg
from netgain.report.listings import Cell, Listing, label_of, listing

SIDE, TOP, GAP = 15, 22, 26  # of a cell, above a grid, between grids
LOSSES = {"all": "all tokens", "answers": "outputs only"}
LATIN = 7.4  # about how wide a letter of a caption is

# -- grids


@final
class _Panel(NamedTuple):
    """A grid (or whatever text was given instead) under its caption; ``outline`` marks an answer right or wrong."""

    caption: str
    text: str
    outline: str = ""


def colours(text: str) -> list[list[int]] | None:
    """The colours of a grid that a text is, a line a row with spaces between; None where it is none."""
    rows = [line.split() for line in text.strip().split("\n")]
    cells = [cell for row in rows for cell in row]
    if not rows[0] or {len(row) for row in rows} != {len(rows[0])} or not all(cell in "0123456789" for cell in cells):
        return None
    return [[int(cell) for cell in row] for row in rows] if max(map(len, cells)) == 1 else None


def task(verdict: Verdict, one: ShownTask) -> Markup:
    """A task's pairs; below them what was asked and expected, and what each arm answered: a drawing for each part."""
    shown = [_Panel(*panel) for pair in one.pairs for panel in zip(("shown", "becomes"), pair, strict=True)]
    rows = [_row(f"The pairs of {one.problem}", shown)]
    for part, (asked, expected) in enumerate(zip(one.inputs, one.expected, strict=False)):
        given = [
            _Panel(f"{label_of(verdict, answer.arm)}: {_judged(answer)}", answer.given[part], _judged(answer))
            for answer in _answers(verdict, one)
            if part < len(answer.given)
        ]
        row = [_Panel("asked", asked), _Panel("expected", expected), *given]
        rows.append(_row(f"What was asked in {one.problem}, expected and answered", row))
    return Markup("").join(rows)


def _answers(verdict: Verdict, one: ShownTask) -> list[ShownAnswer]:
    settings = {arm.name: arm.setting for arm in verdict.arms}
    return [a for a in verdict.shown if a.problem == one.problem and settings.get(a.arm) == one.setting]


def _judged(answer: ShownAnswer) -> str:
    return "right" if answer.right else "wrong"


def _row(title: str, panels: Sequence[_Panel]) -> Markup:
    x, high, drawn = 2.0, 0.0, list[Markup]()
    for panel in panels:
        body, wide, deep = _drawn(panel, x)
        drawn += [svg.text(x, 14, panel.caption, "heading"), body]
        x, high = x + max(wide, LATIN * len(panel.caption)) + GAP, max(high, deep)
    return svg.drawing(x - GAP + 2, TOP + high + 4, title, *drawn, class_="grids", fixed=True)


def _drawn(panel: _Panel, x: float) -> tuple[Markup, float, float]:
    """A grid at ``x``, its width and its height; every cell has its digit, so that no colour is needed to read it."""
    grid = colours(panel.text)
    if grid is None:
        told = svg.short(" ".join(panel.text.split()), 24) or "no answer"
        return svg.text(x, TOP + 14, told, "label faint"), LATIN * len(told), 20
    wide, high = SIDE * len(grid[0]), SIDE * len(grid)
    parts = []
    for i, row in enumerate(grid):
        for j, colour in enumerate(row):
            left, top = x + SIDE * j, TOP + SIDE * i
            parts.append(svg.el("rect", x=left, y=top, width=SIDE, height=SIDE, class_=f"colour colour-{colour}"))
            parts.append(svg.text(left + SIDE / 2, top + 11, str(colour), f"digit on-colour-{colour}", "middle"))
    parts.append(svg.el("rect", x=x, y=TOP, width=wide, height=high, class_=f"outline {panel.outline}".strip()))
    return Markup("").join(parts), wide, high


def choices_of(verdict: Verdict, one: ShownTask) -> list[str]:
    """What each arm was trained with on this task, where that was chosen for it: a sentence each."""
    return [
        f"{label_of(verdict, answer.arm)} ({_judged(answer)}) chose: {told(answer.chosen)}."
        for answer in _answers(verdict, one)
        if answer.chosen is not None
    ]


def told(chosen: ChosenTraining) -> str:
    """A choice in words."""
    if chosen.refused:
        return f"nothing that could be trained with ({chosen.refused}), so the model answered as it is"
    steps = f", {chosen.steps} steps" if chosen.steps else ""
    rate = "an unknown learning rate" if chosen.learning_rate is None else f"learning rate {chosen.learning_rate:g}"
    tools = ", ".join(chosen.tools) or "no augmentation"
    epochs = "as long as the budget lasts" if chosen.epochs is None else f"{chosen.epochs} epochs"
    return f"{tools}; loss on {LOSSES.get(chosen.loss, 'unknown')}; {rate}; {epochs}{steps}"


# -- what was chosen, before and after


def chosen_figures(verdict: Verdict) -> list[tuple[str, Markup]]:
    """For every arm that chooses, the one under test first: its label, and how often it chose what, before learning
    and after."""
    tested = set(summary.subjects(verdict).values())
    arms = sorted(dict.fromkeys(row.arm for row in verdict.chosen), key=lambda arm: arm not in tested)
    return [(label_of(verdict, arm), _figure([row for row in verdict.chosen if row.arm == arm])) for arm in arms]


def _counts(row: ChosenRow) -> dict[str, dict[str, int]]:
    losses = {LOSSES.get(name, name): count for name, count in row.losses.items()}
    return {"augmentations": row.tools, "loss on": losses, "learning rate": row.rates, "epochs": row.epochs}


def _figure(rows: Sequence[ChosenRow]) -> Markup:
    """Groups of columns on one scale, the share of the choices that could be trained with; a column a stage."""
    high, floor, bar = svg.Axis(0.0, 1.0, 150.0, 24.0), 150.0, 13
    shares, x = (0.0, 0.5, 1.0), 44.0
    parts, marks = [svg.text(36, high(share) + 4, f"{share:.0%}", "tick", "end") for share in shares], list[Markup]()
    for group in _counts(rows[0]):
        names = _in_order([name for row in rows for name in _counts(row)[group]])
        parts += [svg.text(x, 12, group, "heading")] if names else []
        start = x
        for name in names:
            for row in rows:
                count = _counts(row)[group].get(name, 0)
                share = count / row.valid if row.valid else 0.0
                class_ = "bar held" if row is rows[-1] else "bar apparent"
                size = {"x": x, "y": high(share), "width": bar - 2, "height": max(floor - high(share), 0.5)}
                tip = f"{group}: {name}, {row.stage}: {count} of {row.valid} ({share:.0%})"
                marks.append(
                    svg.mark(tip, svg.area(x, high(1), bar, floor - high(1)), svg.el("rect", class_=class_, **size))
                )
                x += bar
            middle = x - bar * len(rows) / 2 + 4
            turned = f"rotate(-35 {middle:.1f} {floor + 13:.1f})"
            marks.append(
                svg.el("text", name, x=middle, y=floor + 13, class_="tick", text_anchor="end", transform=turned)
            )
            x += 12
        x = max(x, start + LATIN * len(group)) + 22 if names else x
    width = max(x - 22, 160.0)
    parts += [svg.line(44, high(share), width, high(share), "grid zero" if share == 0 else "grid") for share in shares]
    title = "What was chosen, as shares of the choices that could be trained with"
    return svg.drawing(width, floor + 84, title, *parts, *marks, class_="grids", fixed=True)


def _in_order(names: Sequence[str]) -> list[str]:
    """Without doubles; numbers by their size."""
    known = list(dict.fromkeys(names))
    return sorted(known, key=float if all(name[:1].isdigit() for name in known) else str)


def chosen_table(verdict: Verdict) -> Listing:
    """How many choices could be trained with, why others were refused, and how they scored."""

    def valid(row: ChosenRow) -> Cell:
        share = row.valid / row.written if row.written else None
        return Cell(numbers.percent(share), sort=share)

    def shares(count: int, valid: int) -> Cell:
        return Cell(f"{numbers.percent(valid / count)} of {count:,}", sort=valid / count) if count else Cell("none")

    def held(row: ChosenRow) -> Cell | None:
        return shares(row.constrained, row.constrained_valid) if several else None

    def free(row: ChosenRow) -> Cell | None:
        return shares(row.written - row.constrained, row.valid - row.constrained_valid) if several else None

    def refused(row: ChosenRow) -> Cell:
        return Cell(", ".join(f"{reason} {count}" for reason, count in row.refused.items()) or "none")

    several = any(row.constrained for row in verdict.chosen)
    note = "A refused choice stays paid for; where none is left, the model answers as it is."
    return listing(
        "Choices of trainings at test time, and how many could be trained with",
        verdict.chosen,
        [
            ("arm", lambda row: Cell(label_of(verdict, row.arm), row.stage)),
            ("choices", lambda row: Cell(f"{row.written:,}", sort=row.written)),
            ("valid", valid),
            ("valid of those held to the schema", held),
            ("valid of the others", free),
            ("refused, and why", refused),
            ("mean steps", lambda row: None if row.steps is None else Cell(f"{row.steps:.1f}", sort=row.steps)),
            ("accuracy", lambda row: None if row.score is None else Cell(numbers.percent(row.score), sort=row.score)),
        ],
        notes=(note,),
    )


def bounds(verdict: Verdict) -> Listing:
    """All arms up to the bound that the exam's own labels set, with what each gains and what it lacks."""
    return listing(
        "From the untouched model up to what the exam's own labels would choose",
        verdict.bounds,
        [
            ("arm", lambda row: Cell(label_of(verdict, row.arm), "the upper bound" if row.arm == row.bound else "")),
            ("accuracy", lambda row: Cell(numbers.percent(row.accuracy.value), sort=row.accuracy.value)),
            ("95 % interval", lambda row: Cell(numbers.between(row.accuracy.low, row.accuracy.high))),
            ("over the frozen model", lambda row: Cell(numbers.estimate(row.over)) if row.over else None),
            ("below the bound", lambda row: Cell(numbers.estimate(row.below)) if row.below else None),
        ],
        group=lambda row: row.setting,
        strong=lambda row: verdict.arm(row.arm).headline,
    )
