"""Which step left out how many encounters."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

# In this order. The first five are about odd records; the rest the definition asks for.
STEPS = (
    "encounters without an id: left out",
    "encounters without a patient: left out",
    "encounters without a start: left out",
    "encounters that end before they start: left out",
    "encounters without an end, where the window needs one: left out",
    "of another kind",
    "before or after the dates",
    "of another age",
    "encounters written twice: taken once",
    "not the patient's first",
    "without what is required",
    "with what is excluded",
    "without a label",
)
(NO_ID, NO_PATIENT, NO_START, BACKWARDS, NO_END, KIND, DATES, AGE, TWICE, FIRST, REQUIRED, EXCLUDED, LABEL) = STEPS


@dataclass
class Attrition:
    """The encounters read, and those left out at each step of `STEPS`."""

    read: int = 0
    left_out: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STEPS, 0))

    def keep(self, step: str, kept: NDArray[np.bool_], among: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Count what a step leaves out of the encounters `among`, bool (N,), and give those that stay."""
        self.left_out[step] += int((among & ~kept).sum())
        return among & kept

    def rows(self) -> list[tuple[str, int, int]]:
        """Give each step that left something out: its name, how many it left out, how many stayed."""
        stayed, rows = self.read, []
        for step, number in self.left_out.items():
            stayed -= number
            if number:
                rows.append((step, number, stayed))
        return rows
