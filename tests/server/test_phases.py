"""What the phases of a run make sure of in a site's answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from common.config import Federation
from common.errors import WireError
from common.tasks import Answer, Embedding
from server.greeting import Space
from server.phases import Phases


@pytest.mark.parametrize("model", [{}, {"classes": ["flu", "rsv", "none"]}])
def test_figures_of_a_class_that_was_not_asked_for(
    federation: Callable[..., Federation], model: dict[str, Any]
) -> None:
    nothing: Any = None
    space = Space(Embedding(name="one-hot", normalisation="raw", unknown="mask", absence="text"), 4, nothing)
    phases = Phases(nothing, federation(model=model), nothing, space, 7, print, nothing)
    asked = {f"test.{name}.auroc": 0.7 for name in model.get("classes", ())}
    phases._check((), "hill", Answer("ok", "hill", {"test.auroc": 0.7, "threshold": 0.2, **asked}))
    with pytest.raises(WireError, match="a class or label that the federation does not name"):
        phases._check((), "hill", Answer("ok", "hill", {"test.cold.auroc": 0.7}))
