"""The only file of the builder that sends anything: POST with a key, at a measured pace, and again when it may help."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from client.embedding.address import check_url, is_loopback
from common.errors import TableError

_TRIES = 7  # with the waits below, about a minute of a service that is away
_FIRST_WAIT = 1.0  # seconds; doubled after each try
_LONGEST_WAIT = 600.0  # seconds that a service may ask for
_TIMEOUT = httpx.Timeout(120.0, connect=10.0)  # seconds
_SHOWN = 200  # characters of a service's own words in an error
_AGAIN = (408, 425, 429)  # and 500 and above: the same request may be answered later
_LATER = "what it gave so far is kept: the same command goes on from there"


@dataclass(frozen=True)
class Clock:
    """Time, and waiting; tests bring their own."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Door:
    """Sends JSON to one address and gives the JSON that comes back.

    Parameters
    ----------
    url : str
        Where the service is, such as ``https://host/v1``.
    key : str or None
        Sent as a bearer token; never shown.
    key_name : str
        Where the key comes from, for errors.
    per_minute : float, optional
        Requests a minute, at most; tries that failed count.

    Raises
    ------
    TableError
        The address is not one that may be used, or the proxy of this machine's environment cannot be.
    """

    def __init__(
        self, url: str, key: str | None, key_name: str, per_minute: float | None = None, clock: Clock | None = None
    ) -> None:
        self.url = check_url(url)
        self._key, self._key_name = key, key_name
        self._gap = 60.0 / per_minute if per_minute else 0.0  # seconds
        self._clock = clock or Clock()
        self._next = self._clock.now()
        self._client = _client({"Authorization": f"Bearer {key}"} if key else {}, is_loopback(url))

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def post(self, path: str, content: dict[str, Any]) -> Any:
        """Send `content` and give the answer.

        Raises
        ------
        TableError
            The service refuses, cannot be reached, or does not answer in JSON.
        """
        wait = _FIRST_WAIT
        for left in reversed(range(_TRIES)):
            outcome = self._try(path, content)
            if not isinstance(outcome, _Failure):
                return outcome
            asked = outcome.wait or 0.0
            if not left or not outcome.again or asked > _LONGEST_WAIT:
                break
            self._clock.sleep(max(wait, asked))
            wait *= 2
        raise TableError(f"{self.url}: {outcome.reason}")

    def _try(self, path: str, content: dict[str, Any]) -> Any:
        self._pace()
        try:
            response = self._client.post(self.url + path, json=content)
        except httpx.RequestError as error:
            return _transport_failure(error)
        if not response.is_success:
            return self._refusal(response)
        try:
            return response.json()
        except (ValueError, RecursionError):
            return _Failure("answers with something that is not JSON; is this the right address?")

    def _pace(self) -> None:
        now = self._clock.now()
        if now < self._next:
            self._clock.sleep(self._next - now)
        self._next = max(now, self._next) + self._gap

    def _refusal(self, response: httpx.Response) -> _Failure:
        status = response.status_code
        if response.is_redirect:
            return _Failure(f"sends elsewhere (status {status}); name the address itself with --service")
        if status in (401, 403):  # services repeat parts of the key in their words
            held = f"the key in {self._key_name}" if self._key else f"a request without a key ({self._key_name})"
            return _Failure(f"refuses {held}: status {status}")
        said, code = self._words(response)
        again = (status in _AGAIN or status >= 500) and code != "insufficient_quota"
        wait = _retry_after(response)
        asks = f", and asks to wait {wait:.0f} s" if wait else ""
        return _Failure(f"answers with status {status}{said}{asks}{f'; {_LATER}' if again else ''}", again, wait)

    def _words(self, response: httpx.Response) -> tuple[str, str]:
        """Give a service's own words of an error, without the key and without what moves a terminal's cursor."""
        try:
            error = response.json()["error"]
            text, code = str(error["message"]), str(error.get("code"))
        except (ValueError, KeyError, TypeError, AttributeError):
            return "", ""
        text = text.replace(self._key, "***") if self._key else text
        shown = "".join(letter if letter.isprintable() else " " for letter in text)[:_SHOWN]
        return f' ("{shown}")', code


@dataclass(frozen=True)
class _Failure:
    reason: str
    again: bool = False
    wait: float | None = field(default=None)  # seconds that the service asks for


def _client(headers: dict[str, str], here: bool) -> httpx.Client:
    try:
        return httpx.Client(
            headers=headers,
            timeout=_TIMEOUT,
            follow_redirects=False,  # a redirection would carry key and texts to an address that nobody named
            verify=ssl.create_default_context(),  # what this machine trusts, an organisation's own authority included
            trust_env=not here,  # a proxy has no business on this machine
        )
    except (ImportError, ValueError, httpx.InvalidURL):  # socks without its package; a proxy may hold a password
        raise TableError(
            "the proxy in HTTPS_PROXY or ALL_PROXY cannot be used; expected an address such as http://host:3128"
        ) from None


def _transport_failure(error: httpx.RequestError) -> _Failure:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _Failure(
                "its certificate is not one that this machine trusts, or is for another name; name your organisation's "
                "authority in SSL_CERT_FILE, or install it on this machine"
            )
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.ReadTimeout):
        return _Failure(f"does not answer in {_TIMEOUT.read:.0f} s; a smaller --batch may help; {_LATER}", again=True)
    return _Failure(f"cannot be reached, or cuts the connection ({type(error).__name__}); {_LATER}", again=True)


def _retry_after(response: httpx.Response) -> float | None:
    """Read how long to wait, in seconds: a number, or a date by the service's own clock (RFC 9110, 10.2.3)."""
    asked = response.headers.get("Retry-After", "").strip()
    if asked.isascii() and asked.isdigit():
        return float(asked)
    try:
        gap = parsedate_to_datetime(asked) - parsedate_to_datetime(response.headers.get("Date", ""))
    except (ValueError, TypeError):
        return None
    return max(0.0, gap.total_seconds())
