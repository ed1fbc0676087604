"""Real Chromium without a window, driven over its own pipe: no WebSocket, no driver, nothing to install.

Scripts are off, as they are for the page's readers. Nothing but loopback can be reached: names do not resolve
and everything else goes to a proxy that is not there.
"""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from tests.needs import program
from tests.waiting import LIMIT_S

WAIT_S: Final = LIMIT_S

_FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-quic",
    "--disable-sync",
    "--hide-scrollbars",
    "--font-render-hinting=none",
    "--force-color-profile=srgb",
    "--blink-settings=scriptEnabled=false",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--proxy-server=127.0.0.1:9",
    "--proxy-bypass-list=127.0.0.1",
    "--remote-debugging-pipe",
)

_FONTS: Final = "/usr/share/fonts/truetype/dejavu"
_FONTS_CONF: Final = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{fonts}</dir><cachedir>{cache}</cachedir></fontconfig>
"""

# DevTools' pipe is file descriptors 3 and 4; they are put there before Python becomes Chromium. (Not with a
# shell: dash knows no descriptor above 9.)
_BECOME: Final = """import fcntl, os, sys
high = [fcntl.fcntl(int(word), fcntl.F_DUPFD, 10) for word in sys.argv[1:3]]
os.dup2(high[0], 3), os.dup2(high[1], 4), os.execv(sys.argv[3], sys.argv[3:])"""


class BrowserError(Exception):
    """Chromium ended, said no, or did not answer."""


class Browser:
    """One Chromium. A context manager: `with Browser(tmp_path) as browser`."""

    def __init__(self, directory: Path) -> None:
        self._profile = directory / "chromium-profile"
        self._ids = itertools.count(1)
        self._buffer = b""
        self._events: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        words = [program("chromium"), *_FLAGS, f"--user-data-dir={self._profile}", "about:blank"]
        self._profile.mkdir(parents=True)
        fonts = self._profile / "fonts.conf"
        fonts.write_text(_FONTS_CONF.format(fonts=_FONTS, cache=self._profile / "fonts"))
        command_out, self._to_browser = os.pipe()
        self._from_browser, command_in = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BECOME, str(command_out), str(command_in), *words],
            pass_fds=(command_out, command_in),
            # What is looked at must not depend on which fonts and which language a machine has.
            env={**os.environ, "FONTCONFIG_FILE": str(fonts), "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(command_out)
        os.close(command_in)
        return self

    def __exit__(self, *_exception: object) -> None:
        try:
            self.call("Browser.close")
        except (BrowserError, OSError):
            self._process.kill()
        self._process.wait(WAIT_S)
        os.close(self._to_browser)
        os.close(self._from_browser)
        shutil.rmtree(self._profile, ignore_errors=True)

    def call(self, method: str, session: str = "", **parameters: object) -> dict[str, Any]:
        """Ask Chromium to do something; return what it answers. Events that come before are kept."""
        number = next(self._ids)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._to_browser, json.dumps(message).encode() + b"\0")
        for answer in self._messages():
            if answer.get("id") == number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result
            self._events.append(answer)
        raise BrowserError(f"{method}: no answer")

    def wait(self, method: str, session: str) -> dict[str, Any]:
        """Return the next event of that name, waiting for it."""
        for event in self._events:
            if event.get("method") == method and event.get("sessionId") == session:
                self._events.remove(event)
                return event
        for event in self._messages():
            if event.get("method") == method and event.get("sessionId") == session:
                return event
            self._events.append(event)
        raise BrowserError(f"{method}: never happened")

    def events(self, method: str, session: str) -> list[dict[str, Any]]:
        """Return the parameters of the events of that name so far."""
        return [
            event["params"]
            for event in self._events
            if event.get("method") == method and event.get("sessionId") == session
        ]

    @contextmanager
    def view(
        self, url: str, *, width: int, height: int = 900, dark: bool = False, media: str = "screen"
    ) -> Iterator["View"]:
        """Open `url` in a window of that size; closed afterwards."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "DOM", "Accessibility"):
            self.call(f"{domain}.enable", session)
        self.call("Emulation.setScriptExecutionDisabled", session, value=True)
        self.call(
            "Emulation.setDeviceMetricsOverride",
            session,
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.call(
            "Emulation.setEmulatedMedia",
            session,
            media=media,
            features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}],
        )
        self.call("Page.navigate", session, url=url)
        self.wait("Page.loadEventFired", session)
        try:
            yield View(browser=self, session=session, width=width)
        finally:
            self.call("Target.closeTarget", targetId=target)

    def _messages(self) -> Iterator[dict[str, Any]]:
        deadline = time.monotonic() + WAIT_S
        while True:
            end = self._buffer.find(b"\0")
            if end >= 0:
                message, self._buffer = self._buffer[:end], self._buffer[end + 1 :]
                yield json.loads(message)
                continue
            readable, _, _ = select.select(
                [self._from_browser], [], [], max(0.0, deadline - time.monotonic())
            )
            chunk = os.read(self._from_browser, 1 << 20) if readable else b""
            if not chunk:
                raise BrowserError("Chromium ended" if readable else f"Chromium said nothing for {WAIT_S} s")
            self._buffer += chunk


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """An open page."""

    browser: Browser
    session: str
    width: int

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Ask Chromium about this page."""
        return self.browser.call(method, self.session, **parameters)

    def content_size(self) -> tuple[int, int]:
        """Return the page's width and height in CSS pixels, what stands out to the side included."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        return int(size["width"]), int(size["height"])

    def screenshot(self, *, height: int | None = None) -> bytes:
        """Return a PNG of the page from its top: all of it, or `height` pixels."""
        whole = self.content_size()[1]
        clip = {"x": 0, "y": 0, "width": self.width, "height": min(whole, height or whole), "scale": 1}
        shot = self.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    def pdf(self) -> bytes:
        """Return the page as printed, A4."""
        made = self.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69, printBackground=False)
        return base64.b64decode(made["data"])

    def requested(self) -> list[str]:
        """Return every address the page has asked for."""
        events = self.browser.events("Network.requestWillBeSent", self.session)
        return [str(event["request"]["url"]) for event in events]

    def spoken(self) -> list[tuple[str, str]]:
        """Return (role, name) of everything in the accessibility tree that is not ignored, in order."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [
            (str(node.get("role", {}).get("value", "")), str(node.get("name", {}).get("value", "")))
            for node in nodes
            if not node.get("ignored")
        ]

    def snapshot(self, styles: list[str]) -> dict[str, Any]:
        """Return Chromium's snapshot of document and layout, with the computed `styles` of each node."""
        return self.call("DOMSnapshot.captureSnapshot", computedStyles=styles)
