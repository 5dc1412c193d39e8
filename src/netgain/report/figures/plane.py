"""The plane on which accuracy stands against compute: grid, ticks and caption, the same wherever it is drawn."""

from collections.abc import Sequence

from markupsafe import Markup

from netgain.report import svg, words

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 880, 440, 64, 16, 52


def axes(x: svg.Axis, y: svg.Axis, right: float, caption: str, more: Sequence[Markup] = ()) -> Markup:
    """Both axes, ``right`` pixels short of the edge; ``more`` is drawn between the ticks and the floor."""
    floor, end = HEIGHT - BOTTOM, WIDTH - right
    parts = [svg.line(LEFT, y(t), end, y(t), "grid") for t in y.ticks(6)]
    parts += [svg.text(LEFT - 8, y(t) + 4, f"{100 * t:.0f} %", "tick", "end") for t in y.ticks(6)]
    parts += [svg.line(x(t), floor, x(t), floor + 5, "axisline") for t in x.ticks(5)]
    parts += [svg.text(x(t), floor + 18, words.tick(t), "tick", "middle") for t in x.ticks(5)]
    parts += [*more, svg.line(LEFT, floor, end, floor, "axisline")]
    parts.append(svg.text((LEFT + end) / 2, HEIGHT - 12, caption, "axis", "middle"))
    return Markup("").join(parts)
