"""How lines and marks are told apart: by colour, and by shape and dash where there is none.

The colours are Okabe and Ito's (Color Universal Design, 2008), without their yellow, which is faint on white.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
_DASHES = ("", "6 3", "2 2", "8 3 2 3", "12 4")
_R = 3.6
_MARKS = (  # paths around 0, 0
    f"M-{_R},0a{_R},{_R} 0 1,0 {2 * _R},0a{_R},{_R} 0 1,0 -{2 * _R},0z",  # circle
    "M-3.3,-3.3h6.6v6.6h-6.6z",  # square
    "M0,-4.4L4.2,3.2H-4.2z",  # triangle
    "M0,-4.8L4.4,0L0,4.8L-4.4,0z",  # diamond
    "M0,4.4L4.2,-3.2H-4.2z",  # triangle, upside down
    "M-1.3,-4.2h2.6v2.9h2.9v2.6h-2.9v2.9h-2.6v-2.9h-2.9v-2.6h2.9z",  # plus
    "M-4,-2.2L-2.2,-4L0,-1.8L2.2,-4L4,-2.2L1.8,0L4,2.2L2.2,4L0,1.8L-2.2,4L-4,2.2L-1.8,0z",  # cross
    "M-4.4,-1.4h8.8v2.8h-8.8z",  # bar
)


@dataclass(frozen=True)
class Style:
    """One way to draw; `hollow` marks have a white inside."""

    colour: str
    dash: str
    mark: str
    hollow: bool

    def mark_at(self, x: float, y: float) -> Markup:
        """Draw the mark at a place."""
        return Markup('<path d="{}" transform="translate({:.1f},{:.1f})" fill="{}" stroke="{}"/>').format(
            self.mark, x, y, "#fff" if self.hollow else self.colour, self.colour
        )


def styles(names: Sequence[str]) -> dict[str, Style]:
    """Give each name a style; no two of the first 40 are drawn alike, with colours or without."""
    return {
        name: Style(
            _COLOURS[place % len(_COLOURS)],
            _DASHES[place % len(_DASHES)],
            _MARKS[place % len(_MARKS)],
            (place // len(_MARKS)) % 2 == 1,
        )
        for place, name in enumerate(names)
    }


def legend(chosen: dict[str, Style], line: bool = True) -> Markup:
    """Say what each style means."""
    items = []
    for name, style in chosen.items():
        drawn = Markup("")
        if line:
            drawn = Markup('<path d="M0,7H30" fill="none" stroke="{}" stroke-width="2" stroke-dasharray="{}"/>').format(
                style.colour, style.dash
            )
        drawn += style.mark_at(15, 7)
        items.append(Markup('<li><svg viewBox="0 0 30 14" aria-hidden="true">{}</svg>{}</li>').format(drawn, name))
    return Markup('<ul class="legend">{}</ul>').format(Markup("").join(items))
