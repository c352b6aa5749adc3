"""Requests to a server of models: JSON there and back, with retries, a rate limit, and each failure told.

Only the standard library is used: of what an HTTP package offers, this needs one POST with a time limit, and
waiting for a server that generates text costs a thread, not a core.
"""

from __future__ import annotations

import email.utils
import itertools
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from typing import Any

from crystal.errors import ServerError, SettingsError

MOST_BYTES = 1 << 26
LONGEST_WAIT = 300.0
"""Seconds; a server that asks for a longer pause is given up."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0
_FINAL = frozenset({301, 302, 303, 307, 308, 401, 403, 404, 405})
"""Answers that every further request would get too."""
_AGAIN = frozenset({408, 409, 425, 429})


class UnansweredError(ServerError):
    """One request that got no answer; others may."""


class _Failure(Exception):  # noqa: N818  # never leaves this file
    def __init__(self, reason: str, *, again: bool = True, final: bool = False, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.again, self.final, self.pause = again, final, pause


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would take the key to another host."""

    def redirect_request(self, *_args: Any) -> None:
        return None


class HttpClient:
    """Sends JSON to one server; safe to use from many threads.

    Parameters
    ----------
    url : str
        What paths are appended to, such as ``http://127.0.0.1:8000/v1``.
    key : str or None
        Sent as ``Authorization: Bearer``. It is in no message and no attribute that is printed.
    timeout : float
        Seconds that one request may take.
    retries : int
        Further attempts after the first.
    rate : float or None
        Most requests a second, retries included.
    """

    def __init__(self, url: str, key: str | None, timeout: float, retries: int, rate: float | None) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(
                "not the address of a server", where="server", expected="http://HOST:PORT/v1", got=_bare(url)
            )
        if parts.username or parts.password or parts.query:
            raise SettingsError(
                "keys do not belong into the address", where="server", fix="put the key into CRYSTAL_API_KEY"
            )
        self.url = url.rstrip("/")
        self._key, self._timeout, self._retries = key, timeout, retries
        self._gap = 1 / rate if rate else 0.0
        self._lock = threading.Lock()
        self._next = 0.0
        self._spread = itertools.count()
        self._open = urllib.request.build_opener(_NoRedirects()).open
        self._stopped = threading.Event()
        self._answered = False

    def stop(self) -> None:
        """Let no thread wait or ask again."""
        self._stopped.set()

    def post(
        self, path: str, body: dict[str, Any], read: Callable[[Any], Any], note: Callable[[str], None]
    ) -> Any:
        """Send a document, and return what ``read`` makes of the answer.

        Parameters
        ----------
        path : str
            Behind the server's address.
        body : dict
        read : callable
            Takes the answer as JSON gives it; raises LookupError, TypeError or ValueError where that is not
            what was promised, which counts as a failure.
        note : callable
            Called with a sentence for each request that fails.

        Raises
        ------
        UnansweredError
            If this request was refused, or failed at every attempt.
        ServerError
            If every further request would be too: a wrong key, a wrong address, a server that is gone or
            has not answered one request so far.
        """
        reason = ""
        for attempt in range(self._retries + 1):
            try:
                document = self._once(path, body)
                result = _checked(read, document)
                self._answered = True
                return result
            except _Failure as failure:
                reason = self._hidden(str(failure))
                note(f"attempt {attempt + 1}: {reason}")
                if failure.final:
                    raise ServerError(f"the server refuses: {reason}", where=self.url) from None
                if not failure.again:
                    raise UnansweredError(f"the server refuses a request: {reason}", where=self.url) from None
                if attempt < self._retries:
                    self._wait(max(self._pause(attempt), failure.pause))
                elif not self._answered or reason.startswith("no connection"):
                    break
        kind = UnansweredError if self._answered and not reason.startswith("no connection") else ServerError
        raise kind(
            f"no answer after {self._retries + 1} attempts: {reason}",
            where=self.url,
            fix="what is done is kept; the same command goes on from there",
        )

    def _once(self, path: str, body: dict[str, Any]) -> Any:
        self._take_turn()
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(  # noqa: S310  # the scheme is checked above
            self.url + path, json.dumps(body).encode(), headers, method="POST"
        )
        with _failures():
            started = time.monotonic()
            with self._open(request, timeout=self._timeout) as response:
                data = bytearray()
                while piece := response.read1(1 << 16):
                    data += piece
                    if len(data) > MOST_BYTES:
                        raise _Failure(f"an answer of more than {MOST_BYTES >> 20} MiB", again=False)
                    if time.monotonic() - started > self._timeout:
                        raise TimeoutError
                expected = response.headers.get("Content-Length", "")
                if expected.isdigit() and len(data) < int(expected):
                    raise _Failure(f"an answer cut off after {len(data)} of {expected} bytes")
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise _Failure(f"the answer is no JSON: {_start(data)}") from None

    def _take_turn(self) -> None:
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._gap
        self._wait(turn - now)

    def _wait(self, seconds: float) -> None:
        if self._stopped.wait(max(0.0, seconds)):
            raise UnansweredError("stopped", where=self.url)

    def _pause(self, attempt: int) -> float:
        # Threads that failed together should not come back together: the golden ratio spreads them.
        spread = 0.5 + (next(self._spread) * 0.618034) % 1
        return float(min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE) * spread)

    def _hidden(self, text: str) -> str:
        """Take the key out of what a server said."""
        return text.replace(self._key, "[key]") if self._key else text


@contextmanager
def _failures() -> Iterator[None]:
    """Turn what can happen to a request into what to do about it."""
    try:
        yield
    except urllib.error.HTTPError as error:
        with error:
            said = _start(_some(error))
        pause = _retry_after(error.headers.get("Retry-After"))
        again = error.code in _AGAIN or (error.code >= 500 and error.code != 501)
        reason = f"HTTP {error.code}" + (f": {said}" if said else "")
        if again and pause > LONGEST_WAIT:
            raise _Failure(f"{reason} (it asks to wait {pause:.0f} s)", final=True) from None
        raise _Failure(reason, again=again, final=error.code in _FINAL, pause=pause) from None
    except TimeoutError:
        raise _Failure("no answer in time") from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise _Failure("no answer in time") from None
        raise _Failure(f"no connection: {error.reason}") from None
    except (HTTPException, OSError) as error:
        raise _Failure(f"the connection broke: {type(error).__name__} {error}".strip()) from None


def _checked(read: Callable[[Any], Any], document: Any) -> Any:
    try:
        return read(document)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise _Failure(f"not the promised answer: {type(error).__name__} {error}") from None


def _some(error: urllib.error.HTTPError) -> bytes:
    try:
        return error.read(4096)
    except (OSError, HTTPException):
        return b""


def _start(data: bytes | bytearray) -> str:
    return " ".join(bytes(data[:2000]).decode("utf-8", "replace").split())[:200]


def _retry_after(value: str | None) -> float:
    """Read the header: seconds, or a date."""
    if not value:
        return 0.0
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0


def _bare(url: str) -> str:
    """Return an address without what may be a secret in it."""
    return repr(url.rsplit("@", 1)[-1].split("?", 1)[0])
