"""Draws plots as inline SVG: text stays text, and every mark can say where its figure comes from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from server.report.style import Style

_STEPS = (1, 2, 2.5, 5, 10)
_MARKS_A_LINE = 5


@dataclass(frozen=True)
class Scale:
    """Where numbers from `low` to `high` lie between two places of the drawing."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Give the place of a number."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, most: int = 5) -> dict[float, str]:
        """Give round numbers in the range, and how they are written."""
        rough = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * power for factor in _STEPS if factor * power >= rough * 0.999)
        first, last = math.ceil(self.low / step - 1e-6), math.floor(self.high / step + 1e-6)
        values = [number * step for number in range(first, last + 1)]
        places = next((p for p in range(6) if all(abs(round(v, p) - v) < step / 1e3 for v in values)), 6)
        return {value: f"{value:,.{places}f}" for value in values}


def spanning(values: Iterable[float], start: float, end: float, margin: float = 0.05) -> Scale:
    """Give a scale over all values that are numbers, a little beyond them."""
    known = [value for value in values if not math.isnan(value)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    room = (high - low or abs(high) or 1.0) * margin
    return Scale(low - room, high + room, start, end)


@dataclass
class Plot:
    """A plot of points (x, y); drawn things are kept in order."""

    x: Scale
    y: Scale
    width: int
    height: int
    title: str
    drawn: list[Markup] = field(default_factory=list)

    def frame(
        self, x_label: str, y_label: str, grid_y: bool = True, x_ticks: Mapping[float, str] | None = None
    ) -> None:
        """Draw the axes with their numbers and names."""
        left, right, bottom, top = self.x.start, self.x.end, self.y.start, self.y.end
        for value, text in (x_ticks or self.x.ticks()).items():
            self.path([(self.x(value), bottom), (self.x(value), top)], "grid")
            self.text(self.x(value), bottom + 15.5, text, "tick", "middle")
        for value, text in self.y.ticks().items() if grid_y else ():
            self.path([(left, self.y(value)), (right, self.y(value))], "grid")
            self.text(left - 5, self.y(value) + 4, text, "tick", "end")
        corner = [(left, top)] if grid_y else []
        self.path([*corner, (left, bottom), (right, bottom)], "axis")
        self.text((left + right) / 2, bottom + 30, x_label, "label", "middle")
        if y_label:
            turned = '<text class="label" text-anchor="middle" transform="translate(11,{:.1f}) rotate(-90)">{}</text>'
            self.drawn.append(Markup(turned).format((top + bottom) / 2, y_label))

    def text(self, x: float, y: float, text: str, kind: str, anchor: str = "start") -> None:
        """Write at a place of the drawing."""
        line = Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>')
        self.drawn.append(line.format(kind, x, y, anchor, text))

    def path(self, places: Sequence[tuple[float, float]], kind: str, style: Style | None = None) -> None:
        """Draw a line through places of the drawing."""
        look = Markup("")
        if style is not None:
            look = Markup(' stroke="{}" stroke-dasharray="{}"').format(style.colour, style.dash)
        self.drawn.append(Markup('<path class="{}" d="{}"{}/>').format(kind, _through(places), look))

    def line(self, points: Sequence[tuple[float, float]], style: Style, place: int = 0, marks: bool = True) -> None:
        """Draw a line through points, broken where one is no number, with some marks on it.

        Parameters
        ----------
        points : sequence of (float, float)
        style : Style
        place : int
            Which of the plot's lines this is: lines that lie on each other have their marks at different places.
        marks : bool
        """
        for piece in pieces(points):
            self.path([(self.x(x), self.y(y)) for x, y in piece], "line", style)
            step = max(2, len(piece) // _MARKS_A_LINE)
            for x, y in piece[(1 + place) % step :: step] if marks else ():
                self.drawn.append(style.mark_at(self.x(x), self.y(y)))

    def band(self, x: Sequence[float], low: Sequence[float], high: Sequence[float], style: Style) -> None:
        """Fill what lies between two lines."""
        both = [(a, b, c) for a, b, c in zip(x, low, high, strict=True) if not math.isnan(b + c)]
        around = [(self.x(a), self.y(b)) for a, b, _ in both] + [(self.x(a), self.y(c)) for a, _, c in reversed(both)]
        if around:
            self.drawn.append(Markup('<path class="band" d="{}z" fill="{}"/>').format(_through(around), style.colour))

    def svg(self) -> Markup:
        """Give the whole drawing."""
        outer = Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>')
        return outer.format(self.width, self.height, self.title, Markup("").join(self.drawn))


def pieces(points: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """Cut a line where a point is no number."""
    found: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if math.isnan(point[1]):
            found.append([])
        else:
            found[-1].append(point)
    return [piece for piece in found if piece]


def _through(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in places)
