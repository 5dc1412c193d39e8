"""How numbers, names and outside text are written, the same on the page and in the terminal."""

import unicodedata

from netgain.analysis.intervals import Interval
from netgain.analysis.sentences import kind_name as kind_name
from netgain.analysis.sentences import points, span
from netgain.analysis.verdict import ArmRow

UNKNOWN = "\N{EN DASH}"
CURRENCY_NAMES = {
    "updates": "gradient updates",
    "tokens_real": "real tokens",
    "tokens_padded": "padded tokens",
    "flops": "FLOPs",
}
ALL_NAMES = CURRENCY_NAMES | {
    **{"tokens_training": "training tokens", "tokens_generated": "generated tokens"},
    **{"seconds": "seconds of a device"},
}


def clean(text: str) -> str:
    """Outside text without control characters (a terminal would obey them); tabs and line breaks become spaces."""
    if text.isprintable():  # then nothing of the kind is in it
        return text
    spaced = text.replace("\n", " ").replace("\t", " ").replace("\r", " ")
    return "".join(char for char in spaced if unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co"})


def percent(value: float | None) -> str:
    """A fraction as per cent with one decimal, or a dash where unknown."""
    return UNKNOWN if value is None else f"{100 * value:.1f}\N{NARROW NO-BREAK SPACE}%"


def between(low: float | None, high: float | None) -> str:
    """An interval of fractions in per cent, or that it is unknown."""
    return "unknown" if low is None or high is None else f"{100 * low:.1f} to {percent(high)}"


def difference(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """A difference in percentage points with its interval where there is one."""
    if value is None:
        return UNKNOWN
    return points(value) + (f" {span(low, high)}" if low is not None and high is not None else "")


def estimate(value: Interval | None) -> str:
    """An interval in percentage points, or a dash."""
    return UNKNOWN if value is None else difference(value.value, value.low, value.high)


_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"))


def three_digits(value: float) -> str:
    """At most three digits that count, never as a power of ten: 0.5, 3.14, 812, 1,000."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def amount(value: float | None) -> str:
    """A quantity of work with three digits: ``65,490``, ``134 M``, ``4.13e18``; ``unknown`` where it is not known."""
    if value is None:
        return "unknown"
    if value >= 0.9995e15:
        mantissa, exponent = f"{value:.2e}".split("e+")
        return f"{mantissa}\N{MULTIPLICATION SIGN}10{_superscript(exponent)}"
    if value >= 1e6:
        size, prefix = next((size, prefix) for size, prefix in _PREFIXES if value >= 0.9995 * size)  # once rounded
        return f"{three_digits(value / size)} {prefix}"
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def tick(value: float) -> str:
    """A round number on an axis: ``3×10¹⁵``, ``10¹⁵``, ``300 T``."""
    return amount(value).replace(".00", "").removeprefix("1\N{MULTIPLICATION SIGN}")


def _superscript(digits: str) -> str:
    return digits.translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def p_value(p: float | None) -> str:
    """A p value with two digits, ``< 0.001`` below that, a dash where there is none."""
    if p is None:
        return UNKNOWN
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def trained(arm: ArmRow) -> dict[str, float | None]:
    """What adapting to one problem took an arm, by currency, without any share of an investment."""
    return {
        "updates": arm.updates_per_problem,
        "tokens_real": arm.tokens_real_per_problem,
        "tokens_padded": arm.tokens_padded_per_problem,
        "flops": arm.flops_per_problem,
    }
