"""What broke, and how noisy the reward is: answers fixed and broken, retention, apparent and held-out gains."""

from collections.abc import Sequence

from markupsafe import Markup

from netgain.analysis.sentences import points
from netgain.analysis.verdict import RetentionTable, RewardRow, StabilityRow
from netgain.report import svg, words

WIDTH = 880


def fixed_broken(rows: Sequence[StabilityRow], labels: dict[str, str], headline: str | None) -> Markup | None:
    """Bars to the right for answers fixed, to the left for answers broken; None where nothing is known."""
    if not rows:
        return None
    step, left, right, top = 26, 250, 60, 26
    most = max(max(row.fixed, row.broken) for row in rows) or 1
    axis = svg.Axis(-most, most, left + 40, WIDTH - right)
    parts = [
        svg.text(axis(0) - 10, 14, "broken", "label heading", "end"),
        svg.text(axis(0) + 10, 14, "fixed", "label heading"),
    ]
    for index, row in enumerate(rows):
        y = top + index * step
        share = row.broken / row.previously_correct if row.previously_correct else 0.0
        name = labels[row.arm] + (f": {row.kind}" if row.kind else "")
        tip = f"{name}: fixed {row.fixed}, broke {row.broken} of {row.previously_correct} ({share:.0%})"
        strong = " strong" if row.arm == headline else ""
        parts.append(
            svg.mark(
                tip,
                svg.area(0, y, WIDTH, step),
                svg.text(left - 12, y + 15, svg.short(name, 34), f"label{strong}", "end"),
                svg.el(
                    "rect",
                    x=axis(-row.broken),
                    y=y + 3,
                    width=axis(0) - axis(-row.broken),
                    height=16,
                    class_="bar broken",
                ),
                svg.el("rect", x=axis(0), y=y + 3, width=axis(row.fixed) - axis(0), height=16, class_="bar fixed"),
                svg.text(axis(-row.broken) - 6, y + 15, str(row.broken), f"label value{strong}", "end"),
                svg.text(axis(row.fixed) + 6, y + 15, str(row.fixed), f"label value{strong}"),
            )
        )
    height = top + step * len(rows) + 8
    return svg.drawing(
        WIDTH,
        height,
        "Answers fixed and broken by training",
        svg.line(axis(0), 4, axis(0), height, "grid zero"),
        *parts,
    )


def retention(table: RetentionTable) -> Markup:
    """The matrix with its numbers in the cells: edits so far down, passages across; darker is more accurate."""
    cell, left, top = 74, 150, 40
    known = [value for row in table.matrix for value in row if value is not None]
    low, high = min(known), max(known)
    parts = [
        svg.text(left + (i + 0.5) * cell, 28, f"passage {i + 1}", "tick", "middle") for i in range(len(table.matrix[0]))
    ]
    for k, row in enumerate(table.matrix):
        y = top + k * 30
        name = "untouched" if k == 0 else f"after {k} edit{'s' if k > 1 else ''}"
        parts.append(svg.text(left - 10, y + 19, name, "label", "end"))
        parts += [
            _cell(left + i * cell, y, cell, value, (low, high), f"passage {i + 1}, {name}")
            for i, value in enumerate(row)
        ]
    return svg.drawing(WIDTH, top + 30 * len(table.matrix) + 6, "Retention over a stream of edits", *parts)


def _cell(x: float, y: float, width: float, value: float | None, ends: tuple[float, float], tip: str) -> Markup:
    if value is None:
        return svg.el("rect", x=x + 1, y=y + 1, width=width - 2, height=28, class_="cell none")
    shade = int(5 * (value - ends[0]) / ((ends[1] - ends[0]) or 1.0))
    return svg.mark(
        f"{tip}: {words.percent(value)}",
        svg.el("rect", x=x + 1, y=y + 1, width=width - 2, height=28, class_=f"cell shade-{min(shade, 4)}"),
        svg.text(x + width / 2, y + 19, f"{100 * value:.1f}", f"cellnumber on-{min(shade, 4)}", "middle"),
    )


def reward_noise(rows: Sequence[RewardRow]) -> Markup | None:
    """For each round: how far the chosen edit seems ahead, and how far it is on a repeat that did not choose it."""
    known = [row for row in rows if row.apparent_gain is not None]
    if not known:
        return None
    step, left, right = 52, 250, 150
    ends = [row.apparent_gain or 0.0 for row in known] + [
        end for row in known if row.heldout for end in (row.heldout.high, row.heldout.low)
    ]
    axis = svg.Axis(min(0.0, *ends), max(ends) * 1.12, left, WIDTH - right)
    parts = [svg.line(axis(0), 4, axis(0), step * len(known), "grid zero")]
    for index, row in enumerate(known):
        parts.append(_noise_row(axis, index * step, left, row))
    return svg.drawing(WIDTH, step * len(known) + 8, "Apparent and held-out gain of the chosen edit", *parts)


def _noise_row(axis: svg.Axis, y: float, left: float, row: RewardRow) -> Markup:
    reliability = "unknown" if row.reliability is None else f"{row.reliability:.2f}"
    seen = points(row.apparent_gain or 0.0)
    held = words.estimate(row.heldout) if row.heldout else "not measurable"
    parts = [
        svg.area(0, y, WIDTH, 46),
        svg.text(left - 12, y + 18, f"{row.prompt} round {row.round + 1}", "label strong", "end"),
        svg.text(left - 12, y + 33, f"reliability {reliability}", "label faint", "end"),
        svg.el(
            "rect", x=axis(0), y=y + 6, width=axis(row.apparent_gain or 0.0) - axis(0), height=14, class_="bar apparent"
        ),
        svg.text(axis(row.apparent_gain or 0.0) + 6, y + 17, f"{seen} as chosen", "label value"),
    ]
    if row.heldout:
        low, high = axis(row.heldout.low), axis(row.heldout.high)
        first, second = sorted((axis(0), axis(row.heldout.value)))
        parts.append(svg.el("rect", x=first, y=y + 24, width=second - first, height=14, class_="bar held"))
        parts.append(svg.line(low, y + 31, high, y + 31, "whisker"))
        parts.append(svg.text(high + 6, y + 35, f"{points(row.heldout.value)} measured again", "label value"))
    else:
        parts.append(
            svg.text(axis(0) + 6, y + 35, "single evaluations not published: cannot be measured again", "label faint")
        )
    return svg.mark(f"{row.arm}: looks {seen}, held out {held}, reliability {reliability}", *parts)
