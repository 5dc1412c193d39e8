"""Accuracy against compute: the arms that nobody dominates."""

from collections.abc import Mapping


def undominated(points: Mapping[str, tuple[float, float]]) -> set[str]:
    """Names of the (cost, accuracy) points that no other beats: at most as dear, at least as accurate, not equal."""
    return {
        name
        for name, (cost, accuracy) in points.items()
        if not any(
            other_cost <= cost and other_accuracy >= accuracy and (other_cost, other_accuracy) != (cost, accuracy)
            for other_cost, other_accuracy in points.values()
        )
    }
