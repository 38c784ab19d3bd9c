"""``tupana webhooks serve``: the receiver, and the thread that reads what events name."""

from __future__ import annotations

import argparse
import signal
import socket
import threading
import time
from pathlib import Path

import uvicorn

from tupana_etl import pipeline, settings
from tupana_etl.cli import output
from tupana_etl.cli.webhooks_drain import told
from tupana_etl.errors import ConfigError, LockHeld, TupanaError
from tupana_etl.inbox.receiver import application
from tupana_etl.inbox.store import open_inbox
from tupana_etl.settings import Settings

TOGETHER_SECONDS = 1.0
"""From the first new event on: one run for what comes together."""
LOOK_SECONDS = 5.0
"""Between looks for what is due again."""
REFUSALS_SECONDS = 60.0
"""Between two lines about events that were refused."""
LONGEST_REST = 300.0
"""After failures in a row, seconds."""
AT_ONCE = 64
"""Connections; more are answered 503 and come back."""


def run(args: argparse.Namespace) -> int:
    configured = settings.load()
    wake, stop = threading.Event(), threading.Event()
    app = application(
        configured.home, configured.webhook_secrets, arrived=wake.set, refused=_Refusals()
    )
    if not args.no_drain:
        configured.need_key()
    with open_inbox(configured.home):
        pass  # what is wrong with the home is told before the first event
    with _bound(args.host, args.port) as listener:
        url = f"http://{args.host}:{listener.getsockname()[1]}/"
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                lifespan="off",
                server_header=False,
                limit_concurrency=AT_ONCE,
                timeout_keep_alive=5,
                timeout_graceful_shutdown=5,
            )
        )
        drainer = _Drainer(configured, wake, stop, server)
        _tell(args, url, configured.home)
        if not args.no_drain:
            drainer.start()
        # uvicorn raises again what it was told to end by: both ends are the same to us.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            server.run(sockets=[listener])
        except KeyboardInterrupt:
            pass  # that is how it ends
        finally:
            stop.set()
            wake.set()
            if drainer.is_alive():
                drainer.join()
    if drainer.broken is not None:
        raise drainer.broken
    output.note("The receiver has ended; what it kept is read by the next drain.")
    return 0


class _Refusals:
    """Tells of events that no secret had signed, seldom: anybody may send them."""

    def __init__(self) -> None:
        self._untold, self._next = 0, 0.0

    def __call__(self) -> None:
        self._untold += 1
        if time.monotonic() < self._next:
            return
        count = "An event was" if self._untold == 1 else f"{self._untold} events were"
        output.note(
            output.paragraph(
                f"{count} refused: signed with none of the secrets in TUPANA_WEBHOOK_SECRET. If "
                "Tu Pana sent it, the webhook was registered with another one (`webhooks list`)."
            )
        )
        self._untold, self._next = 0, time.monotonic() + REFUSALS_SECONDS


class _Drainer(threading.Thread):
    """Drains whenever something arrived or is due again. A bug of ours ends the server."""

    def __init__(
        self,
        configured: Settings,
        wake: threading.Event,
        stop: threading.Event,
        server: uvicorn.Server,
    ) -> None:
        super().__init__(name="drain")
        self._settings, self._wake, self._ended, self._server = configured, wake, stop, server
        self.broken: BaseException | None = None

    def run(self) -> None:
        rest = 0.0
        try:
            while not self._ended.is_set():
                rest = self._once(rest)
                if rest:
                    self._ended.wait(rest)
                elif self._wake.wait(LOOK_SECONDS) and not self._ended.is_set():
                    time.sleep(TOGETHER_SECONDS)
        except BaseException as error:  # noqa: BLE001 - raised again by the main thread
            self.broken = error
            self._server.should_exit = True

    def _once(self, rest: float) -> float:
        """Seconds to rest before the next attempt; 0 when all went well."""
        self._wake.clear()
        try:
            done = pipeline.drain(self._settings)
        except LockHeld:
            return 1.0  # another run reads; it is not this one's turn
        except TupanaError as error:
            output.note(output.paragraph(f"Events wait: {error}"))
            return min(max(rest * 2, 5.0), LONGEST_REST)
        for line in told(done):
            output.note(output.paragraph(line))
        return 0.0


def _tell(args: argparse.Namespace, url: str, home: Path) -> None:
    if args.json:
        output.write_json({"url": url, "home": str(home)})
        return
    output.write(f"Webhooks are received at {url}")
    output.write(f"They are kept in {home}")
    output.write("Ctrl-C ends it.")
    output.finish()


def _bound(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port))
    except (OSError, OverflowError) as taken:
        why = getattr(taken, "strerror", None) or "not a port"
        raise ConfigError(f"{host}:{port} cannot be listened on: {why}.") from None
