"""`python -m benchmarks.fuzz TARGET [--minutes M]`: feeds a target's readers with broken inputs, and says what broke.

Guided by coverage with atheris (pip install 'sitebridge[fuzz]'): what reaches new code is broken further. Inputs that
break the contract are written into a folder, one for each different finding.
"""

from __future__ import annotations

import os
import random
import resource
import tempfile
import time
import warnings
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

TARGETS = ("wire", "configuration", "table", "cohort")
_LONGEST = 1 << 16  # bytes of an input
_MOST = 6 << 30  # bytes of addresses: an allocation by a lying header fails, rather than the machine

Minutes = Annotated[float, typer.Option(min=0.01, help="How long.")]
Found = Annotated[Path, typer.Option("--found", help="Folder for the inputs that break the contract.")]
Seed = Annotated[int, typer.Option(help="Of the mutations.")]


def main(target: str, minutes: Minutes = 10.0, found: Found = Path("fuzz-found"), seed: Seed = 1) -> None:
    """Fuzz one of wire, configuration, table and cohort."""
    if target not in TARGETS:
        raise typer.BadParameter(f"expected one of {', '.join(TARGETS)}", param_hint="target")
    try:
        import atheris
    except ImportError:
        raise typer.BadParameter("fuzzing by coverage needs the extra: pip install 'sitebridge[fuzz]'") from None
    with atheris.instrument_imports(include=["common", "client", "server", "study"]):
        from benchmarks.fuzz.contract import judge
        from benchmarks.fuzz.mutate import mutate

        readers = import_module(f"benchmarks.fuzz.{target}").readers()
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (_MOST, _MOST))
    findings: dict[str, int] = {}
    counted = [0] * len(readers)
    until = time.monotonic() + 60 * minutes
    scratch = tempfile.TemporaryDirectory(prefix="fuzz-")
    folders = [Path(scratch.name) / str(number) for number in range(len(readers))]
    for folder in folders:
        folder.mkdir()

    def one(data: bytes) -> None:
        if time.monotonic() > until:
            spent = f"{minutes:g} minutes ({time.process_time():,.0f} seconds of the processor)"
            print(f"{target}: {sum(counted):,} inputs in {spent}, {len(findings)} different findings")
            for reader, count in zip(readers, counted, strict=True):
                print(f"  {reader.name}: {count:,}")
            for name, times in findings.items():
                print(f"  ! {name} ({times:,} times)")
            scratch.cleanup()
            os._exit(1 if findings else 0)  # nothing of libFuzzer's has an end of its own
        if not data:
            return
        which = data[0] % len(readers)
        counted[which] += 1
        finding = judge(readers[which], data[1:], folders[which])
        if finding is not None:
            if finding.name not in findings:
                found.mkdir(parents=True, exist_ok=True)
                path = found / f"{target}-{len(findings):03}"
                path.write_bytes(data[1:])
                print(f"{path}: {finding.name}: {finding.said}", flush=True)
            findings[finding.name] = findings.get(finding.name, 0) + 1

    def change(data: bytes, most: int, drawn: int) -> bytes:
        rng = random.Random(drawn)
        if len(data) < 2 or rng.random() < 0.1:
            which = rng.randrange(len(readers))
            data = bytes([which]) + rng.choice(readers[which].seeds)
        reader = readers[data[0] % len(readers)]
        if rng.random() < 0.1:
            return data[:1] + atheris.Mutate(data[1:], max(1, most - 1))
        return (data[:1] + mutate(data[1:], reader.form, reader.seeds, rng))[:most]

    with tempfile.TemporaryDirectory(prefix="fuzz-seeds-") as corpus:
        for which, reader in enumerate(readers):
            for number, good in enumerate(reader.seeds):
                (Path(corpus) / f"{which}-{number}").write_bytes(bytes([which]) + good)
        options = [
            f"-max_len={_LONGEST}",
            f"-seed={seed}",
            "-rss_limit_mb=0",
            "-verbosity=0",
            "-timeout=300",
            "-report_slow_units=300",
            corpus,
        ]
        atheris.Setup(["fuzz", *options], one, custom_mutator=change)
        atheris.Fuzz()


if __name__ == "__main__":
    typer.run(main)
