"""What the arithmetic of stated figures excludes, on figures that people published, and where it excludes nothing."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netgain.audit.audit import audit, read_claim
from netgain.audit.checks import stated_checks
from netgain.errors import InputError
from netgain.records.claim import Arm, Claim
from netgain.records.stated import Stated


def of(accuracy: float, n: int, **more: object) -> Claim:
    arm = Arm(name="a", label="A", setting="s", role="synthetic", accuracy=accuracy, n_questions=n)  # type: ignore[arg-type]
    seeds = more.pop("seeds", None)
    return Claim(name="c", title="C", arms=(arm.model_copy(update={"stated": Stated(**more), "seeds": seeds}),))  # type: ignore[arg-type]


def told(claim: Claim) -> bool:
    return bool(list(stated_checks.unreachable(claim, None)))  # type: ignore[arg-type]


@pytest.mark.parametrize(("accuracy", "n"), [(0.120, 30), (0.471, 400), (0.619, 400), (0.165, 120)])
def test_scores_that_no_count_of_right_answers_gives(accuracy: float, n: int) -> None:
    assert told(of(accuracy, n, digits=3))


@pytest.mark.parametrize(
    ("accuracy", "n"), [(0.470, 974), (0.463, 974), (0.725, 40), (0.533, 15), (0.567, 30), (0.418, 1319)]
)
def test_scores_that_some_count_gives(accuracy: float, n: int) -> None:
    assert not told(of(accuracy, n, digits=3))


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.integers(2, 5))
def test_a_count_of_right_answers_is_never_called_unreachable(counted: tuple[int, int], digits: int) -> None:
    right, n = counted
    for cut in (round(right / n, digits), float(f"{right / n:.{digits}f}")):
        assert not told(of(cut, n, digits=digits))
    half_up = math.floor(right / n * 10**digits + 0.5) / 10**digits
    assert not told(of(half_up, n, digits=digits))


def test_samples_seeds_and_partial_credit_make_other_scores_reachable() -> None:
    assert told(of(0.165, 30, digits=3))
    assert not told(of(0.1667, 30, digits=4))
    assert told(of(0.1625, 30, digits=4))
    assert not told(of(0.1625, 20, digits=4, samples=4))
    assert not told(of(0.1625, 20, digits=4, seeds=4))
    assert not told(of(0.471, 400, digits=3, partial_credit=True))
    assert not told(of(0.12, 30))  # how many digits were given is not known


def test_a_percentage_on_a_card_says_how_many_digits_were_given(tmp_path: Path) -> None:
    text = "title: T\nheadline: o\nfrozen: f\narms:\n  f: {{role: frozen, accuracy: 0.1, n_questions: 30}}\n"
    text += "  o: {{role: self_improving, accuracy: {}, n_questions: 30}}\n"
    card = tmp_path / "card.yaml"
    card.write_text(text.format("12.0%"))
    assert [f.check for f in audit(read_claim(card)).findings if f.check == "unreachable-score"]
    card.write_text(text.format("0.12"))
    assert not [f.check for f in audit(read_claim(card)).findings if f.check == "unreachable-score"]
    card.write_text(text.format("12.0 points"))
    with pytest.raises(InputError, match=r"card.yaml:6: .*accuracy"):
        read_claim(card)


def test_seals_own_figures_are_all_reachable() -> None:
    checks = {finding.check for finding in audit(read_claim(None)).findings}
    assert not {"unreachable-score", "standard-error-misfits"} & checks


def test_a_source_of_a_figure_that_there_is_not_is_named_with_the_nearest(tmp_path: Path) -> None:
    card = tmp_path / "card.yaml"
    card.write_text("title: T\nheadline: o\narms:\n  o: {role: other, accuracy: 0.1, sources: {acuracy: {where: x}}}\n")
    with pytest.raises(InputError, match=r"'acuracy' is not a field of an arm; did you mean 'accuracy'"):
        read_claim(card)
