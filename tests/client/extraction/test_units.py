"""Units: numbers that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from client.extraction.units import conversion, convert, unit_fault

EXACT = [
    (100.4, "[degF]", "Cel", 38.0),
    (104.0, "degF", "Cel", 40.0),
    (311.15, "K", "Cel", 38.0),
    (38.0, "Cel", "[degF]", 100.4),
    (0.0, "Cel", "[degF]", 32.0),
    (-40.0, "[degF]", "Cel", -40.0),
    (1.0, "mg/dL", "g/L", 0.01),
    (4.5, "10*3/uL", "10*9/L", 4.5),
    (4500.0, "/uL", "10*9/L", 4.5),
    (2.0, "a", "mo", 24.0),
    (97.0, "%", "1", 0.97),
    (72.0, "{beats}/min", "/min", 72.0),
]


@pytest.mark.parametrize(("number", "given", "wanted", "result"), EXACT)
def test_a_conversion(number, given, wanted, result):
    assert convert(np.array([number]), conversion(given, wanted))[0] == result


@pytest.mark.parametrize(("given", "wanted"), [("kg", "Cel"), ("", "Cel"), ("nonsense", "Cel"), ("mmol/L", "mg/dL")])
def test_no_conversion(given, wanted):
    assert conversion(given, wanted) is None


def test_the_same_unit_changes_no_bit():
    number = np.array([38.123456789012345, np.nan, np.inf])
    assert convert(number, conversion("Cel", "Cel")).tobytes() == number.tobytes()


def test_no_number_stays_none():
    assert np.isnan(convert(np.array([np.nan]), conversion("[degF]", "Cel"))).all()


@pytest.mark.parametrize("unit", ["Cel", "[degF]", "degF", "10*3/uL", "1"])
def test_units_of_a_definition(unit):
    assert unit_fault(unit) is None


def test_a_word_is_no_unit():
    assert "is not a UCUM unit" in unit_fault("celsius")
