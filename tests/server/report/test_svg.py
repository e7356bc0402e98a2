from __future__ import annotations

import math
import re

import pytest

from server.report.style import Style, legend, styles
from server.report.svg import Plot, Scale, pieces, spanning
from server.report.trace import interval, shown

UNIT = Scale(0, 1, 0, 100)


def plot() -> Plot:
    return Plot(UNIT, Scale(0, 1, 100, 0), 100, 100, "a < b")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (0.66, 0.83, ["0.70", "0.75", "0.80"]),
        (-0.5, 0.5, ["-0.4", "-0.2", "0.0", "0.2", "0.4"]),
        (0, 12_000, ["0", "2,500", "5,000", "7,500", "10,000"]),
    ],
)
def test_ticks_are_round(low: float, high: float, expected: list[str]) -> None:
    ticks = Scale(low, high, 0, 1).ticks()
    assert list(ticks.values()) == expected
    assert [float(text.replace(",", "")) for text in expected] == pytest.approx(list(ticks))


def test_a_scale_spans_what_is_a_number() -> None:
    scale = spanning([2.0, math.nan, 4.0], 0, 110, margin=0.05)
    assert (scale.low, scale.high) == pytest.approx((1.9, 4.1))
    assert scale(3.0) == pytest.approx(55)
    assert spanning([0.5], 0, 1)(0.5) == pytest.approx(0.5)


def test_a_line_is_broken_where_there_is_no_number() -> None:
    assert pieces([(0, 1), (1, math.nan), (2, 3), (3, 4)]) == [[(0, 1)], [(2, 3), (3, 4)]]
    drawn = plot()
    drawn.line([(0, 1), (0.1, 1), (0.5, math.nan), (0.9, 0), (1, 0)], styles(["a"])["a"], marks=False)
    assert re.findall(r'd="(.*?)"', drawn.svg()) == ["M0.0,0.0L10.0,0.0", "M90.0,100.0L100.0,100.0"]


def test_texts_are_escaped() -> None:
    drawn = plot()
    drawn.text(0, 0, "<b>", "name")
    assert "&lt;b&gt;" in drawn.svg()
    assert 'aria-label="a &lt; b"' in drawn.svg()
    assert "&lt;i&gt;" in legend({"<i>": styles(["x"])["x"]})


def test_styles_differ_without_colour() -> None:
    chosen = list(styles([str(number) for number in range(40)]).values())
    assert len({(style.dash, style.mark, style.hollow) for style in chosen}) == 40
    assert len({style.colour for style in chosen[:7]}) == 7
    assert isinstance(chosen[0], Style)


@pytest.mark.parametrize(
    ("value", "places", "expected"),
    [
        (1250.4, 0, "1,250"),
        (0.12345, 3, "0.123"),
        (-0.0004, 3, "0.000"),
        (-0.4, 0, "0"),
        (-1.5, 1, "-1.5"),
        (0.0, 2, "0.00"),
    ],
)
def test_numbers_are_rounded_and_nothing_has_no_sign(value: float, places: int, expected: str) -> None:
    assert shown(value, places) == expected


def test_what_is_no_number_is_empty() -> None:
    assert shown(None) == shown(math.nan) == interval(0.1, math.nan, "auroc") == ""
    assert re.sub("<.*?>", "", interval(-0.1, 0.2, "slope")) == "-0.100 to 0.200"
