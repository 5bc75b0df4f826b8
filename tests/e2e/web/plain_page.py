"""A page that nothing watches: Playwright's own have DevTools' network log on, which costs the page a message for every chunk.

Chromium tells a page of each chunk of a response (`OnTransferSizeUpdated`) only while that log is on. So figures of the page's
main thread are taken in a browser context that Playwright does not know, through the browser's own DevTools session.
"""

import json
import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Browser, CDPSession


class PlainPage:
    """One page of a context of its own, spoken to with DevTools commands."""

    def __init__(self, browser: Browser, width: int = 1200, height: int = 800) -> None:
        self._browser: CDPSession = browser.new_browser_cdp_session()
        self._answers: dict[int, dict[str, Any]] = {}
        self._last = 0
        self._browser.on("Target.receivedMessageFromTarget", self._received)
        self._context = self._browser.send("Target.createBrowserContext")["browserContextId"]
        wanted = {"url": "about:blank", "browserContextId": self._context, "width": width, "height": height}
        target = self._browser.send("Target.createTarget", wanted)["targetId"]
        self._session = self._browser.send("Target.attachToTarget", {"targetId": target, "flatten": False})["sessionId"]
        # CPU time of the thread: what other processes do meanwhile does not count.
        self.send("Performance.enable", {"timeDomain": "threadTicks"})

    def _received(self, event: dict[str, Any]) -> None:
        message = json.loads(event["message"])
        if "id" in message:
            self._answers[message["id"]] = message

    def send(self, method: str, parameters: dict[str, Any] | None = None, timeout_s: float = 30.0) -> dict[str, Any]:
        """The command's result. Raises RuntimeError with what DevTools says against it, TimeoutError."""
        self._last += 1
        message = json.dumps({"id": self._last, "method": method, "params": parameters or {}})
        self._browser.send("Target.sendMessageToTarget", {"sessionId": self._session, "message": message})
        deadline = time.monotonic() + timeout_s
        while self._last not in self._answers:
            if time.monotonic() > deadline:
                raise TimeoutError(method)
            self._browser.send("Target.getTargets")  # lets the events that have come be told
        answer = self._answers.pop(self._last)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return dict(answer.get("result", {}))

    def goto(self, url: str, script: str = "") -> None:
        """Goes there, with `script` run before the page's own."""
        if script:
            self.send("Page.enable")
            self.send("Page.addScriptToEvaluateOnNewDocument", {"source": script})
        self.send("Page.navigate", {"url": url})

    def run(self, expression: str) -> Any:
        result = self.send("Runtime.evaluate", {"expression": expression, "awaitPromise": True, "returnByValue": True})
        if "exceptionDetails" in result:
            raise RuntimeError(str(result["exceptionDetails"]))
        return result["result"].get("value")

    def until(self, expression: str, timeout_s: float = 120.0, every_s: float = 0.5) -> None:
        """Waits until the expression is true; looks seldom, since each look is work of the page, too."""
        deadline = time.monotonic() + timeout_s
        while not self.run(expression):
            if time.monotonic() > deadline:
                raise TimeoutError(expression)
            time.sleep(every_s)

    def metrics(self) -> dict[str, float]:
        return {one["name"]: float(one["value"]) for one in self.send("Performance.getMetrics")["metrics"]}

    def ask(self, text: str) -> None:
        self.run("document.getElementById('message').focus()")
        self.send("Input.insertText", {"text": text})
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", {"type": kind, "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13})

    def measured(self, act: Callable[[], None]) -> dict[str, float]:
        """By how much each of the page's figures grew while `act` went on; times in seconds of the main thread's CPU."""
        before = self.metrics()
        act()
        return {name: value - before[name] for name, value in self.metrics().items()}

    def close(self) -> None:
        self._browser.send("Target.disposeBrowserContext", {"browserContextId": self._context})
        self._browser.detach()
