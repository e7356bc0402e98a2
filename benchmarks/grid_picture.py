"""Learning curves as one SVG file that any page can show: the report's panels, a row for each embedding."""

from __future__ import annotations

import re
from importlib.resources import files

from markupsafe import Markup

from server.report.study.curves import Drawn, learning
from server.report.study.folder import StudyFolder
from server.report.style import Style, styles
from server.summary import ORDER

WIDE, HIGH, TITLE, LEGEND, ACROSS = 366, 250, 22, 34, 3  # a panel's size, what is above one and above all, panels a row


def picture(study: StudyFolder) -> dict[str, str]:
    """Draw the curves of each preset, an SVG document each."""
    there = set(study.summary["strategy"])
    looks = styles([name for name in ORDER if name in there])
    return {drawn.preset: _document(drawn, looks) for drawn in learning(study)}


def _document(drawn: Drawn, looks: dict[str, Style]) -> str:
    rows = -(-len(drawn.panels) // ACROSS)
    width, height = ACROSS * WIDE, LEGEND + rows * (HIGH + TITLE)
    outer = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" font-family="system-ui, sans-serif">'
        '<style>{}</style><rect width="100%" height="100%" fill="#fff"/>{}{}</svg>\n'
    )
    panels = Markup("").join(_panel(number, *panel) for number, panel in enumerate(drawn.panels))
    return str(outer.format(width, height, Markup(_rules()), _legend(looks), panels))


def _panel(number: int, title: str, svg: Markup) -> Markup:
    """Put a panel in its place, under its title."""
    x, y = number % ACROSS * WIDE, LEGEND + number // ACROSS * (HIGH + TITLE)
    bare = re.sub(r' data-[a-z]+="[^"]*"', "", str(svg))  # where a figure comes from is said in the report
    placed = bare.replace("<svg ", f'<svg x="{x}" y="{y + TITLE}" width="{WIDE}" height="{HIGH}" ', 1)
    return Markup('<text class="group" x="{}" y="{}">{}</text>{}').format(x + 50, y + 16, title, Markup(placed))


def _legend(looks: dict[str, Style]) -> Markup:
    """Say what each line means."""
    item = Markup(
        '<g transform="translate({},18)"><path d="M-15,0H15" fill="none" stroke="{}" stroke-width="2"'
        ' stroke-dasharray="{}"/>{}<text class="name" x="20" y="4">{}</text></g>'
    )
    step = (ACROSS * WIDE - 100) // len(looks)
    drawn = (
        item.format(60 + place * step, look.colour, look.dash, look.mark_at(0, 0), name)
        for place, (name, look) in enumerate(looks.items())
    )
    return Markup("").join(drawn)


def _rules() -> str:
    """Take the rules for drawings from the report's style, its colours by name written out."""
    css = files("server.report").joinpath("templates/report.css").read_text(encoding="utf-8")
    colours = dict(re.findall(r"--(\w+): (#\w+)", css))
    rules = "".join(line for line in css.splitlines() if line.startswith("svg ") and "plot" not in line)
    return re.sub(r"var\(--(\w+)\)", lambda found: colours[found[1]], rules)
