# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium that a test drives through DevTools' pipe: what it shows, what keys do,
what it asked for. Nothing listens on a port; the browser ends with close()."""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

from rig import DEADLINE_S, Skip, wait_for

FLAGS = ("--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars "
         "--disable-background-networking --disable-component-update --disable-sync "
         "--disable-dev-shm-usage --force-color-profile=srgb --remote-debugging-pipe").split()
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, "End": 35, "Home": 36, "ArrowUp": 38,
        "ArrowDown": 40, "PageDown": 34, "PageUp": 33, " ": 32, "/": 191, "?": 191}


class Chromium:
    """One tab. Each event that DevTools tells is kept in `events`."""

    def __init__(self):
        chromium = shutil.which("chromium")
        if not chromium:
            raise Skip("Debian's package chromium is not installed")
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.events, self.answers, self.last_id, self.tail = [], {}, 0, b""
        to_read, self.write_fd = os.pipe()
        self.read_fd, to_write = os.pipe()

        def give():     # DevTools reads 3 and writes 4
            a, b = os.dup(to_read), os.dup(to_write)
            os.dup2(a, 3)
            os.dup2(b, 4)
        with open(os.path.join(self.profile.name, "log"), "wb") as log:
            self.process = subprocess.Popen(
                [chromium, *FLAGS, f"--user-data-dir={self.profile.name}", "about:blank"],
                stdout=log, stderr=log, preexec_fn=give, pass_fds=(3, 4))
        os.close(to_read)
        os.close(to_write)
        self.session = None
        try:
            tab = self.call("Target.createTarget", url="about:blank")["targetId"]
            self.session = self.call("Target.attachToTarget", targetId=tab,
                                     flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Network", "Log", "Accessibility"):
                self.call(domain + ".enable")
        except BaseException:
            self.close()
            raise

    def _take(self, timeout):
        """One message, or None."""
        while b"\0" not in self.tail:
            if not select.select([self.read_fd], [], [], timeout)[0]:
                return None
            piece = os.read(self.read_fd, 1 << 20)
            assert piece, "the browser is gone"
            self.tail += piece
        one, self.tail = self.tail.split(b"\0", 1)
        return json.loads(one)

    def _note(self, message):
        if "id" in message:
            self.answers[message["id"]] = message
        else:
            self.events.append(message)

    def call(self, method, **params):
        self.last_id += 1
        message = {"id": self.last_id, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.write_fd, data):]
        end = time.monotonic() + DEADLINE_S
        while self.last_id not in self.answers:
            assert time.monotonic() < end, f"{method}: no answer"
            message = self._take(1)
            if message:
                self._note(message)
        answer = self.answers.pop(self.last_id)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def js(self, expression):
        """The value of an expression in the page (a promise is waited for)."""
        r = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                      awaitPromise=True)
        assert "exceptionDetails" not in r, r["exceptionDetails"]
        return r["result"].get("value")

    def until(self, expression):
        return wait_for(expression, lambda: self.js(f"!!({expression})"))

    def open(self, url):
        self.call("Page.navigate", url=url)
        wait_for("the page", lambda: self.js("document.readyState === 'complete' && "
                                             "location.href !== 'about:blank'"))

    def media(self, scheme):
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screen(self, width, height, scale=1):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=scale, mobile=width < 600)

    def key(self, name, shift=False):
        params = {"key": name, "windowsVirtualKeyCode": KEYS.get(name, ord(name[0].upper())),
                  "modifiers": 8 if shift else 0}
        text = {"Enter": "\r"}.get(name, name if len(name) == 1 else None)
        if text:
            params["text"] = text
        self.call("Input.dispatchKeyEvent", type="keyDown", **params)
        self.call("Input.dispatchKeyEvent", type="keyUp",
                  **{k: v for k, v in params.items() if k != "text"})

    def click(self, at):
        """The mouse, where the expression `at` says: [x, y]."""
        x, y = self.js(at)
        for what, buttons in (("mouseMoved", 0), ("mousePressed", 1), ("mouseReleased", 0)):
            self.call("Input.dispatchMouseEvent", type=what, x=x, y=y, buttons=buttons,
                      button="none" if what == "mouseMoved" else "left", clickCount=1)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def picture(self, path, whole=False):
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        with open(path, "wb") as f:
            f.write(base64.b64decode(data["data"]))

    def told(self, method):
        """The parameters of each event of that name so far."""
        return [e["params"] for e in self.events if e["method"] == method]

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for fd in (self.read_fd, self.write_fd):
            os.close(fd)
        self.profile.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
