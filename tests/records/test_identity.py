"""Canonical JSON and identities: equal values, equal bytes; other values, other bytes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netgain.records.identity import canonical, identity, is_canonical

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    # surrogates are no text
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_reading_canonical_text_and_writing_it_again_changes_nothing(value: object) -> None:
    assert canonical(json.loads(canonical(value))) == canonical(value)


def test_order_and_spelling_do_not_matter() -> None:
    assert canonical({"b": 1.0, "a": (2, -0.0)}) == '{"a":[2,0],"b":1}'
    assert identity("x", {"a": 1, "b": 2}) == identity("x", {"b": 2.0, "a": 1.0})


def test_kind_and_value_both_decide_the_identity() -> None:
    assert len({identity(kind, value) for kind in ("trial", "arm") for value in (1, "1", [1], None, True)}) == 10


def test_an_identity_stays_the_same_from_version_to_version() -> None:
    assert identity("trial", {"seed": 1, "é": [0.1, 1e20]}) == (
        "sha256:e78612d26e18c563918724e8e93aac92520a9d3ea4c64b76d3c4f6a51ce4b111"
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")], "\ud800", {"\udfff": 1}])
def test_what_has_no_canonical_text_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        canonical(value)


@pytest.mark.parametrize("value", [{1: 2}, {1, 2}, b"x", object()])
def test_what_is_no_plain_value_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError):
        canonical(value)


@pytest.mark.parametrize(
    "text",
    ["[1.0]", '{"a":-0.0}', "1.0", '{"b":1,"a":2}', '{"a":1, "b":2}', '"\\u00e9"', "1e2", "[9007199254740991.0]"],
)
def test_another_spelling_of_a_value_is_not_canonical(text: str) -> None:
    assert not is_canonical(text, json.loads(text))


@given(VALUES)
def test_a_text_is_canonical_where_it_is_what_is_written(value: object) -> None:
    for text in (canonical(value), json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))):
        assert is_canonical(text, json.loads(text)) == (canonical(json.loads(text)) == text)
