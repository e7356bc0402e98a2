"""What sites say in a secure round is read as what it should be, or not at all."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import WireError
from common.secure.said import Agreed, Masked, Opened, Said, check_masked, check_opened, read
from common.secure.shares import PRIME, to_text
from common.tasks import Answer

SHARE = to_text(5)


@given(st.text(max_size=200))
def test_any_words_are_read_or_refused(words: str) -> None:
    for kind in (Masked, Agreed, Opened):
        with pytest.raises(WireError, match="not what a secure round asks for"):
            read(kind, Answer("ok", "a", facts=words))


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        (Masked, '{"sealed": {"b": "xyz"}}'),
        (Masked, '{"sealed": {"b": "00"}, "more": 1}'),
        (Masked, json.dumps({"sealed": {"b": "00" * 10_000}})),
        (Agreed, '{"signature": "00"}'),
        (Opened, json.dumps({"own": {"a": PRIME.to_bytes(32, "big").hex()}, "pairs": {}})),
        (Opened, json.dumps({"own": {"a": SHARE}, "pairs": {"a": {"b": 5}}})),
    ],
)
def test_what_is_nearly_right(kind: type[Said], facts: str) -> None:
    with pytest.raises(WireError, match=rf"asks for \({kind.__name__.lower()}\)"):
        read(kind, Answer("ok", "a", facts=facts))


def test_for_and_of_the_right_sites() -> None:
    check_masked(Masked(sealed={"b": "00", "c": "00"}), ["c", "b"])
    with pytest.raises(WireError, match="not for every other site"):
        check_masked(Masked(sealed={"b": "00", "d": "00"}), ["c", "b"])
    said = Opened(own={"a": SHARE, "b": SHARE}, pairs={"a": {"c": SHARE}, "b": {"c": SHARE}})
    check_opened(said, ["a", "b"], ["c"])
    with pytest.raises(WireError, match="shares are not of those that are asked for"):
        check_opened(Opened(own={"a": SHARE}, pairs=said.pairs), ["a", "b"], ["c"])
    for left, gone in ((["a"], ["c"]), (["a", "b"], []), (["a", "b"], ["c", "d"]), (["a", "b", "c"], ["c"])):
        with pytest.raises(WireError, match="shares are not of those that are asked for"):
            check_opened(said, left, gone)
