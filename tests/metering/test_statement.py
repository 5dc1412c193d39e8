"""Statements: totals as folds, spent and useful told apart, unknown never taken for zero."""

from pathlib import Path

import pytest

from netgain.errors import InputError, JournalError
from netgain.metering.account import Book
from netgain.metering.statement import load, matched, sum_up, totals
from netgain.records.cost import Cost, Currency
from netgain.records.purpose import Purpose


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Two arms, two seeds; one failure, one discarded result, one remote teacher of unknown FLOPs, one exam."""
    path = tmp_path / "j"
    with Book.open(path) as book:
        for arm, seed in (("seal", 0), ("seal", 1), ("frozen", 0)):
            root = book.account(f"{arm}/{seed}", run="r", arm=arm, seed=seed)
            train = root.under(Purpose.ADAPT)
            train.reserve("train", Cost(flops=10)).settle(Cost(flops=8, seconds=1))
            train.reserve("train", Cost(flops=10)).fail("NaN", Cost(flops=3, seconds=1))
            rejected = train.reserve("generate", Cost(flops=10))
            rejected.settle(Cost(flops=2, seconds=1))
            book.discard([rejected], "rejected")
            if arm == "seal":
                root.under(Purpose.TEACH).reserve("ask", Cost(dollars=1)).settle(Cost(dollars=0.5, tokens_real=70))
            root.under(Purpose.EVALUATE).reserve("exam", Cost(flops=100)).settle(Cost(flops=90, seconds=2))
    return path


def test_totals_by_arm_tell_spent_from_useful(path: Path) -> None:
    by_arm = totals(matched(load(path)), "arm")
    frozen = by_arm["frozen",]
    assert (frozen.spent.flops, frozen.useful.flops, frozen.charges) == (13, 8, 3)
    assert (frozen.spent.seconds, frozen.useful.seconds) == (3, 1)
    assert list(by_arm) == [("seal",), ("frozen",)]


def test_an_unknown_amount_makes_the_total_unknown_and_leaves_a_lower_bound(path: Path) -> None:
    seal = totals(matched(load(path)), "arm")["seal",]
    assert seal.spent.flops is None
    assert seal.at_least.flops == 26
    assert seal.useful_at_least.flops == 16
    assert seal.at_least.dollars == 1
    assert {Currency.FLOPS, Currency.DOLLARS} <= set(seal.incomplete)


def test_evaluation_is_in_the_ledger_and_outside_the_matched_budget(path: Path) -> None:
    everything = totals(load(path), "purpose")
    assert everything["evaluate",].spent.flops == 270
    assert ("evaluate",) not in totals(matched(load(path)), "purpose")


@pytest.mark.parametrize("by", ["account", "arm", "operation", "outcome", "purpose", "run", "seed"])
def test_every_way_of_grouping_adds_up_to_the_whole(path: Path, by: str) -> None:
    charges = load(path)
    parts, whole = totals(charges, by).values(), sum_up(charges)
    assert sum(part.at_least.flops or 0 for part in parts) == whole.at_least.flops
    assert sum(part.charges for part in parts) == whole.charges


def test_groups_can_be_told_apart_by_several_words(path: Path) -> None:
    groups = totals(load(path), "arm", "seed", "outcome")
    assert groups["seal", 1, "failed"].spent.flops == 3


def test_an_unknown_word_is_refused_with_the_nearest(path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'purpose'"):
        totals(load(path), "purposes")


def test_nothing_spent_is_known_to_be_nothing() -> None:
    nothing = sum_up([])
    assert (nothing.spent, nothing.useful, nothing.charges) == (Cost.zero(), Cost.zero(), 0)


def test_a_journal_that_lies_has_no_totals(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"flops":8', b'"flops":7', 1))
    with pytest.raises(JournalError, match=r"row \d+: the hash does not belong"):
        load(path)


def test_real_tokens_of_which_the_padding_is_unknown_still_have_a_lower_bound(tmp_path: Path) -> None:
    with Book.open(tmp_path / "j") as book:
        account = book.account("a", purpose=Purpose.TEACH)
        account.reserve("ask", Cost()).settle(Cost(tokens_real=70))
        account.reserve("train", Cost()).settle(Cost(tokens_real=10, tokens_padded=20))
    bound = sum_up(load(tmp_path / "j")).at_least
    assert (bound.tokens_real, bound.tokens_padded) == (80, 80)
