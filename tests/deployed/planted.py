"""A hospital whose every cell holds a secret, and a search for it in whatever spelling it might travel."""

from __future__ import annotations

import base64
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import tomli_w

from client.hospitals.site_files import finding_codes

WORD = "Quincunxogee"  # in every cell, every column's name and every file's name
DIGITS = "5318642097"  # in every number
SECRETS = (WORD, DIGITS)
CODES = finding_codes()[:12]
STRANGE = f"{WORD}-strange"  # a cell that the site file does not declare


def spell(what: str) -> str:
    """Give a cell, a column's name or a file's name."""
    return f"{WORD}-{what}"


def write_site(folder: Path, name: str, encounters: int = 1500, strange: bool = False, **changes: Any) -> None:
    """Write the table and the site file of a hospital into its folder; `changes` replace keys of its sections."""
    data = folder / spell("data") / f"{spell('patients')}.csv"
    data.parent.mkdir(exist_ok=True)
    with data.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(spell(column) for column in ("id", "part", "age", "temp", "flu", "notes", *CODES))
        writer.writerows(_rows(name, encounters))
        if strange:
            writer.writerow(
                [spell("last"), spell("train"), spell("young"), f"98.{DIGITS}", *[STRANGE] * (2 + len(CODES))]
            )
    content = _site_file(name, str(data.relative_to(folder)))
    for section, keys in changes.items():
        content[section] = {**content[section], **keys}
    (folder / "site.toml").write_text(f"# {spell('remark')}\n{tomli_w.dumps(content)}")


def _rows(name: str, encounters: int) -> Iterator[list[str]]:
    draw = np.random.default_rng(len(name))
    for number in range(encounters):
        values = draw.choice(["P", "A", "M"], size=len(CODES), p=[0.3, 0.5, 0.2])
        flu = draw.random() < (0.7 if values[0] == "P" else 0.3)
        part, age = ("train", "test")[int(number % 3 == 0)], ("young", "old")[int(draw.integers(2))]
        degrees = f"{draw.integers(97, 105)}.{DIGITS}"
        row = [f"{name}-{number}", part, age, None, "yes" if flu else "no", f"was seen {number} times", *values]
        yield [degrees if what is None else spell(what) for what in row]


def _site_file(name: str, data: str) -> dict[str, Any]:
    cohort = {
        "file": data,
        "id": spell("id"),
        "label": {"column": spell("flu"), "positive": [spell("yes")], "negative": [spell("no")]},
        "findings": {
            "spelling": {"present": [spell("P")], "absent": [spell("A")], "unknown": [spell("M")]},
            "columns": {spell(code): code for code in CODES},
        },
        "categories": {"agegroup": {"column": spell("age"), "values": {spell("young"): "ls5", spell("old"): "ge64"}}},
        "grades": {
            "C0424781": {"column": spell("temp"), "unit": "F", "cuts": [100.4, 104.0], "names": ["I", "A", "P"]}
        },
    }
    split = {"by": "column", "column": spell("part"), "test": [spell("test")], "validation": 0.2}
    return {
        "name": name,
        "cohort": cohort,
        "split": split,
        "tables": {"minilm": "builtin:minilm"},
        "policy": {"approval": True},
    }


def table_of(site: Path) -> Path:
    """Give the table of encounters of a site."""
    return next((site / spell("data")).iterdir())


def few(site: Path) -> None:
    """Leave so few patients that nothing may be said of them."""
    write_site(site, site.name, encounters=36)


def strange(site: Path) -> None:
    """Put a cell into the table that the site file does not declare."""
    write_site(site, site.name, strange=True)


def another_header(site: Path) -> None:
    """Call the label's column otherwise."""
    table = table_of(site)
    table.write_text(table.read_text().replace(spell("flu"), spell("flu?"), 1))


def torn(site: Path) -> None:
    """Tear the table in the middle of a line, and end it in another encoding."""
    table = table_of(site)
    table.write_bytes(table.read_bytes()[:-40] + b',"' + WORD.encode("utf-16"))


def no_table(site: Path) -> None:
    """Name a table of embeddings that is not there."""
    write_site(site, site.name, tables={"minilm": f"{spell('tables')}/none.safetensors"})


def no_file(site: Path) -> None:
    """Take the table of encounters away."""
    table = table_of(site)
    table.rename(table.with_name(spell("elsewhere.csv")))


def broken_file(site: Path) -> None:
    """Break the site file."""
    path = site / "site.toml"
    path.write_text(path.read_text() + f'\n[{spell("section")}\nkey = "{WORD}')


def forbidding(site: Path) -> None:
    """Let the policy forbid what is asked."""
    write_site(site, site.name, policy={"strategies": ["local"]})


def narrow(site: Path) -> None:
    """Let the policy forbid what is learnt."""
    write_site(site, site.name, policy={"max_change": 1e-9})


def nothing(site: Path) -> None:
    """Break nothing here: the federation is at fault."""


def traces(content: bytes) -> list[str]:
    """Name every spelling in which a secret stands in some bytes."""
    folded = content.lower()
    found = []
    for secret in SECRETS:
        for spelling, needle in _spellings(secret).items():
            if needle in (folded if needle == needle.lower() else content):
                found.append(f"{secret} as {spelling}")
    return found


def _spellings(secret: str) -> dict[str, bytes]:
    small, plain = secret.lower(), secret.encode()
    spellings = {
        "it is": small.encode(),
        "UTF-16, least first": small.encode("utf-16-le"),
        "UTF-16, most first": small.encode("utf-16-be"),
        "UTF-32": small.encode("utf-32-le"),
        "hexadecimal": plain.hex().encode(),
        "hexadecimal in pairs": plain.hex(" ").encode(),
        "a URL": "".join(f"%{byte:02x}" for byte in plain).encode(),
        "JSON's escapes": "".join(f"\\u{byte:04x}" for byte in plain).encode(),
        "numbers": ", ".join(str(byte) for byte in plain).encode(),
        "it is, backwards": small[::-1].encode(),
    }
    for shift in range(3):  # three bytes become four letters: what they are depends on where the secret begins
        letters = base64.b64encode(bytes(shift) + plain)
        spellings[f"base64 {shift}"] = letters[4 if shift else 0 : -4]
    assert quote(secret) == secret
    return spellings
