"""What crossed between the coordinator and the sites, in bytes."""

from __future__ import annotations

import pandas as pd
from markupsafe import Markup

from server.report.folder import EXCHANGE
from server.report.svg import Plot, Scale
from server.report.trace import Row, Table, attributes, figure, shown, where

_BAR, _ROOM = 16, 10  # height of a bar, and above a pair of them


def bytes_table(exchange: pd.DataFrame) -> Table:
    """Say what crossed, phase by phase."""
    rows: list[Row] = []
    for (embedding, phase), part in exchange.groupby(["embedding", "phase"], sort=False):
        cells: list[str] = [str(embedding), str(phase)]
        for direction in ("out", "back"):
            one_way = part[part["direction"] == direction]
            key = where(embedding=embedding, phase=phase, direction=direction)
            for column, of in (("bytes", "count"), ("numbers", "sum"), ("bytes", "sum")):
                value = len(one_way) if of == "count" else float(one_way[column].sum())
                cells.append(figure(value, column, of, 0, key))
        rows.append(Row(cells, attributes(file=EXCHANGE), not rows or rows[-1].cells[0] != embedding))
    headings = ["embedding", "phase", "messages to sites", "numbers", "bytes", "messages back", "numbers", "bytes"]
    return Table("What crossed between coordinator and sites", headings, rows, 2)


def bytes_plot(exchange: pd.DataFrame) -> Markup:
    """Draw the bytes of each phase, to sites and back, over all embeddings and seeds."""
    totals = exchange.groupby(["phase", "direction"], sort=False)["bytes"].sum()
    phases = list(dict.fromkeys(exchange["phase"]))
    pair = 2 * _BAR + _ROOM
    bottom = 4 + pair * len(phases)
    x = Scale(0, max(float(totals.max()), 1) / 1e6 * 1.02, 84, 480)
    plot = Plot(x, Scale(0, 1, bottom, 4), 500, bottom + 36, "megabytes by phase")
    plot.frame("megabytes", "", grid_y=False)
    for place, phase in enumerate(phases):
        top = 4 + place * pair + _ROOM / 2
        plot.text(78, top + _BAR + 4, str(phase), "name", "end")
        for row, direction in enumerate(("out", "back")):
            value = float(totals.get((phase, direction), 0.0))
            key = attributes("bytes", where(phase=phase, direction=direction), "sum", 0, EXCHANGE)
            said = f"{phase}, {'to sites' if direction == 'out' else 'back'}: {shown(value, 0)} bytes"
            bar = '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{}"/>'
            drawn = Markup(bar).format(direction, x(0), top + row * _BAR, max(x(value / 1e6) - x(0), 0.5), _BAR - 3)
            whole = Markup('<g{} data-shown="{}"><title>{}</title>{}</g>')
            plot.drawn.append(whole.format(key, shown(value, 0), said, drawn))
    return plot.svg()
