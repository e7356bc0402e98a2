"""The page in a real browser, over its debugging pipe: nothing is asked for but the file, nothing is complained of."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from server.report.folder import RunFolder
from server.report.live import live_page
from server.report.page import page
from server.report.study.folder import StudyFolder
from server.report.study.page import page as study_page

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe")

pytestmark = pytest.mark.slow


class Browser:
    """A headless Chromium with one page, spoken to in its DevTools protocol."""

    def __init__(self, program: str, home: Path) -> None:
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        script = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        command = ["bash", "-c", script, "bash", program, *FLAGS, f"--user-data-dir={home}", "about:blank"]
        self.process = subprocess.Popen(
            command, pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.out, self.into = os.fdopen(ours_out, "wb", 0), os.fdopen(ours_in, "rb", 0)
        self.numbers, self.rest, self.events = itertools.count(1), b"", list[dict[str, Any]]()
        self.session = ""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": parameters}
        self.out.write(json.dumps(message | ({"sessionId": self.session} if self.session else {})).encode() + b"\0")
        while (answer := self.read()).get("id") != number:
            self.events.append(answer)
        return dict(answer["result"])

    def read(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            more = self.into.read(65536)
            assert more, "the browser has gone"
            self.rest += more
        line, self.rest = self.rest.split(b"\0", 1)
        return dict(json.loads(line))

    def show(self, path: Path, width: int) -> None:
        self.events.clear()
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
        self.ask("Page.navigate", url=path.as_uri())
        while not self.happened("Page.loadEventFired"):
            self.events.append(self.read())

    def happened(self, *methods: str) -> list[dict[str, Any]]:
        return [event["params"] for event in self.events if event.get("method") in methods]

    def evaluate(self, expression: str) -> Any:
        return self.ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def close(self) -> None:
        self.out.close()
        self.into.close()
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    browser = Browser(program, tmp_path / "home")
    yield browser
    browser.close()


@pytest.fixture(params=["two", "several"])
def either(request: pytest.FixtureRequest, folder: Path) -> Path:
    """A run of two classes, and one of several."""
    if request.param == "several":
        request.getfixturevalue("several")
    return folder


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_whole_quiet_and_alone(browser: Browser, either: Path, tmp_path: Path, width: int) -> None:
    path = tmp_path / "report.html"
    path.write_text(page(RunFolder(either)))
    browser.show(path, width)
    more = (either / "classes.csv").exists()
    assert browser.evaluate("document.querySelectorAll('section').length") == 11 + more
    asked = [event["request"]["url"] for event in browser.happened("Network.requestWillBeSent")]
    assert asked == [path.as_uri()]
    complaints = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
    assert browser.happened(*complaints) == []
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")  # tables scroll in their boxes
    assert browser.evaluate("[...document.querySelectorAll('svg.plot')].length") > 10
    sized = "[...document.querySelectorAll('details')].forEach(e => e.open = true); "
    sized += "[...document.querySelectorAll('svg.plot')].every(e => e.getBoundingClientRect().width > 100)"
    assert browser.evaluate(sized)
    picture = base64.b64decode(browser.ask("Page.captureScreenshot")["data"])
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 20_000


@pytest.mark.parametrize("width", [1280, 390])
def test_pages_of_a_study_and_of_a_run_that_goes_on(
    browser: Browser, folder: Path, study: Path, tmp_path: Path, width: int
) -> None:
    for text in (study_page(StudyFolder(study)), live_page(RunFolder(folder), 60)):
        path = tmp_path / "other.html"
        path.write_text(text)
        browser.show(path, width)
        assert [event["request"]["url"] for event in browser.happened("Network.requestWillBeSent")] == [path.as_uri()]
        assert browser.happened("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded") == []
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_live_page_is_taken_again(browser: Browser, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "live.html"
    path.write_text(live_page(RunFolder(folder), 1))
    browser.show(path, 1280)
    path.write_text(live_page(RunFolder(folder), 0).replace("<h1>", "<h1>again: "))
    browser.events.clear()
    while not browser.happened("Page.loadEventFired"):
        browser.events.append(browser.read())
    assert browser.evaluate("document.querySelector('h1').textContent") == "again: by-hand"


def test_on_a_telephone_every_figure_of_a_table_is_in_sight(browser: Browser, either: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(page(RunFolder(either)))
    browser.show(path, 390)
    beyond = (
        "[...document.querySelectorAll('table.broad td')].filter(e => e.getBoundingClientRect().right > 391).length"
    )
    assert browser.evaluate("document.querySelectorAll('table.broad td').length") > 100
    assert browser.evaluate(f"document.querySelectorAll('details').forEach(e => e.open = true); {beyond}") == 0


@pytest.mark.parametrize("which", ["run", "several", "study"])
def test_no_text_of_a_picture_leaves_it_or_lies_on_another(
    browser: Browser, folder: Path, study: Path, tmp_path: Path, which: str, request: pytest.FixtureRequest
) -> None:
    path = tmp_path / "report.html"
    if which == "several":
        request.getfixturevalue("several")
    path.write_text(study_page(StudyFolder(study)) if which == "study" else page(RunFolder(folder)))
    browser.show(path, 1280)
    found = browser.evaluate(
        """(() => { const bad = [];
        for (const e of document.querySelectorAll('details')) e.open = true;
        for (const plot of document.querySelectorAll('svg.plot')) {
          const frame = plot.getBoundingClientRect();
          const boxes = [...plot.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
          boxes.forEach(([text, box], n) => {
            if (box.left < frame.left - 2 || box.right > frame.right + 8 || box.bottom > frame.bottom + 4)
              bad.push('outside: ' + text);
            for (const [other, b] of boxes.slice(n + 1))
              if (box.left < b.right - 1 && b.left < box.right - 1 && box.top < b.bottom - 3 && b.top < box.bottom - 3)
                bad.push(text + ' on ' + other);
          });
        } return [...new Set(bad)]; })()"""
    )
    assert found == []


def test_print_has_every_figure_that_is_no_appendix(
    browser: Browser, folder: Path, tmp_path: Path, change: Callable[..., None]
) -> None:
    def pages() -> int:
        path = tmp_path / "report.html"
        path.write_text(page(RunFolder(folder)))
        browser.show(path, 1280)
        paper = base64.b64decode(browser.ask("Page.printToPDF", preferCSSPageSize=True)["data"])
        assert paper.startswith(b"%PDF")
        return paper.count(b"/Type /Page\n") + paper.count(b"/Type /Page ")

    whole = pages()
    change("curves.csv", lambda table: pd.DataFrame(table[table["embedding"] == "minilm"]))
    assert 2 < pages() < whole  # the other embedding's curves are folded on the screen, and on paper nevertheless
