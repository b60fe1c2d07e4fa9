"""Headless Chromium, driven through its DevTools protocol over two pipes: no package needed."""

import base64
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
# The browser reads from descriptor 3 and writes to 4; other programs would need a shell for that.
ONTO_3_AND_4 = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
for end, place in zip(ends, (3, 4)):
    os.dup2(end, place)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Page:
    """One page of a browser; every call waits for its answer."""

    def __init__(self, sink: int, source: int) -> None:
        self._sink = sink
        self._source = source
        self._numbers = itertools.count(1)
        self._rest = b""
        self._session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]

    def call(self, method: str, **params: Any) -> Any:
        """What the browser answers to a method of the protocol."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._sink, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def _receive(self) -> Any:
        while b"\0" not in self._rest:
            part = os.read(self._source, 1 << 16)
            assert part, "the browser has ended"
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\0")
        return json.loads(line)

    def open(self, path: Path, *, width: int, height: int, dark: bool = False) -> None:
        """Load a file and wait until its pictures are there."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=path.resolve().as_uri())
        ready = "new Promise(done => document.readyState === 'complete' ? done() : onload = done)"
        here = f"location.href === {json.dumps(path.resolve().as_uri())}"
        while not self.value(here):
            pass
        self.value(ready)
        self.value("Promise.all([...document.images].map(each => each.decode()))")

    def value(self, expression: str) -> Any:
        """What a JavaScript expression is, promises awaited."""
        done = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the left button at (x, y), move, let go."""
        for kind, (x, y) in (
            ("mouseMoved", start),
            ("mousePressed", start),
            ("mouseMoved", end),
            ("mouseReleased", end),
        ):
            self.call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=x,
                y=y,
                button="none" if (kind, (x, y)) == ("mouseMoved", start) else "left",
                buttons=1 if kind != "mouseReleased" else 0,
                clickCount=1,
            )

    def close_browser(self) -> None:
        """Have the whole browser end."""
        self._session = None
        self.call("Browser.close")

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """What is shown, or the whole page, as a PNG file."""
        made = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(made["data"]))


@contextmanager
def chromium(profile: Path) -> Iterator[Page]:
    """A page of a browser that ends with the block; ``profile`` is an empty folder for it."""
    assert CHROMIUM is not None
    to_browser, from_us = os.pipe()
    to_us, from_browser = os.pipe()
    ends = (str(to_browser), str(from_browser))
    command = [sys.executable, "-c", ONTO_3_AND_4, *ends]
    command += [CHROMIUM, *FLAGS, f"--user-data-dir={profile}"]
    with subprocess.Popen(
        command,
        pass_fds=(to_browser, from_browser),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as child:
        for handle in (to_browser, from_browser):
            os.close(handle)
        try:
            page = Page(from_us, to_us)
            yield page
            page.close_browser()
            child.wait(timeout=30)
        finally:
            child.terminate()
            child.wait()
            for handle in (from_us, to_us):
                os.close(handle)
