"""One page in Chromium (by Playwright) or WebKit (by its WebDriver), as a person has it: what is typed, pressed and seen."""

import json
import os
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from playwright.sync_api import Page
from selenium.webdriver import WebKitGTK
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.webkitgtk.options import Options
from selenium.webdriver.webkitgtk.service import Service

DESKTOP: Final = (1200, 800)
PHONE: Final = (360, 640)
DRIVER: Final = "WebKitWebDriver"
_WAIT_S: Final = 20.0
# A window is at least as wide as its toolbar: with this one it can be as narrow as a phone.
_TOOLBAR: Final = 20
_SMALL_TOOLBAR: Final = "* { font-size: 1px; padding: 0; margin: 0; min-width: 0; min-height: 0; border-width: 0; }"
_FORGET: Final = """
    localStorage.clear();
    sessionStorage.clear();
    const gone = ({ name }) => new Promise((done) => (indexedDB.deleteDatabase(name).onsuccess = done));
    return indexedDB.databases().then((all) => Promise.all(all.map(gone)));
"""
_KEYS: Final = {
    "Enter": Keys.ENTER, "Escape": Keys.ESCAPE, "ArrowUp": Keys.ARROW_UP, "Shift": Keys.SHIFT, "Control": Keys.CONTROL
}  # fmt: skip

BOX: Final = "document.getElementById('message')"
# Each is an expression; a chat's greeting is no answer.
QUESTIONS: Final = "[...document.querySelectorAll('.message.user .bubble')].map((one) => one.textContent)"
ANSWERS: Final = (
    "[...document.querySelectorAll('.message.user ~ .message.assistant .prose')].map((one) => one.textContent.trim())"
)


class Screen(Protocol):
    touch: bool

    def open(self, path: str) -> None:
        """Goes there, in a browser in which nothing is stored."""

    def reload(self) -> None: ...

    def resize(self, width: int, height: int) -> None: ...

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression."""

    def type(self, text: str) -> None: ...

    def press(self, key: str) -> None:
        """Presses a key on what has the focus: "Enter", "Shift+Enter", "Escape"."""


def until(screen: Screen, expression: str, expected: Any = True) -> None:
    """Waits until the expression has the value; raises AssertionError with the last one."""
    deadline = time.monotonic() + _WAIT_S
    seen = None
    while time.monotonic() < deadline:
        seen = screen.run(expression)
        if seen == expected:
            return
        time.sleep(0.05)
    shown = screen.run("`${location.pathname}: ${document.body.innerText.slice(0, 800)}`")
    raise AssertionError(f"{expression} is {seen!r}, not {expected!r}. The page shows, at {shown}")


def focus_box(screen: Screen) -> None:
    until(screen, f"{BOX} !== null")
    screen.run(f"{BOX}.focus()")


def click(screen: Screen, name: str) -> None:
    """Presses the last button of that name, once it can be pressed."""
    button = f"[...document.querySelectorAll('button[aria-label={json.dumps(name)}]')].at(-1)"
    until(screen, f"{button} !== undefined && !{button}.disabled")
    screen.run(f"{button}.click()")


def say(screen: Screen, text: str) -> None:
    """Writes and sends, by the key or by the button, and waits for the answer to be stored."""
    focus_box(screen)
    screen.type(text)
    send(screen)
    until(screen, f"{QUESTIONS}.at(-1)", text)
    until_stored(screen)


def send(screen: Screen) -> None:
    if screen.touch:
        click(screen, "Send")
    else:
        screen.press("Enter")


def until_stored(screen: Screen) -> None:
    until(screen, "/^.chat.[0-9a-f-]{36}$/.test(location.pathname)")
    until(screen, "document.querySelector('button[aria-label=Send]') !== null")


class ChromiumScreen:
    def __init__(self, page: Page, url: str, touch: bool) -> None:
        self._page = page
        self._url = url
        self.touch = touch

    def open(self, path: str) -> None:
        self._page.goto(self._url + path)

    def reload(self) -> None:
        self._page.reload()

    def resize(self, width: int, height: int) -> None:
        self._page.set_viewport_size({"width": width, "height": height})

    def run(self, expression: str) -> Any:
        return self._page.evaluate(f"() => {expression}")

    def type(self, text: str) -> None:
        self._page.keyboard.type(text)

    def press(self, key: str) -> None:
        self._page.keyboard.press(key)


class WebKitScreen:
    touch = False  # its driver knows no touch

    def __init__(self, driver: WebKitGTK, url: str, size: tuple[int, int]) -> None:
        self._driver = driver
        self._url = url
        self.resize(*size)

    def open(self, path: str) -> None:
        self._driver.get(f"{self._url}/api/health")
        self._driver.execute_script(_FORGET)
        self._driver.get(self._url + path)

    def reload(self) -> None:
        self.run("void (window.before = true) ?? location.reload()")
        until(self, "window.before === undefined && document.readyState", "complete")

    def resize(self, width: int, height: int) -> None:
        """The page's size: the window is higher by its own toolbar."""
        self._driver.set_window_rect(0, 0, width, height + _TOOLBAR)
        until(self, f"innerWidth === {width} && Math.abs(innerHeight - {height}) < {_TOOLBAR}")

    def run(self, expression: str) -> Any:
        return self._driver.execute_script(f"return {expression};")

    def type(self, text: str) -> None:
        ActionChains(self._driver, duration=0).send_keys(text).perform()

    def press(self, key: str) -> None:
        *held, last = (_KEYS[name] for name in key.split("+"))
        actions = ActionChains(self._driver, duration=0)
        for one in held:
            actions.key_down(one)
        actions.send_keys(last)
        for one in held:
            actions.key_up(one)
        actions.perform()


def mini_browser() -> Path | None:
    """WebKit's own small browser, which comes with the driver; its folder is named for a version."""
    return next(iter(sorted(Path("/usr/lib").glob("*/webkit*gtk-*/MiniBrowser"))), None)


def missing_for_webkit() -> list[str]:
    """What WebKit needs and is not here."""
    needed = (
        ("webkit2gtk-driver is not installed (Debian: apt install webkit2gtk-driver)", shutil.which(DRIVER) and mini_browser()),
        ("Xvfb is not installed (Debian: apt install xvfb)", shutil.which("Xvfb")),
    )
    return [what for what, there in needed if not there]


@contextmanager
def webkit() -> Iterator[WebKitGTK]:
    """WebKit with its driver, on a display of its own."""
    with _display() as display, tempfile.TemporaryDirectory() as settings:
        style = Path(settings, "gtk-3.0", "gtk.css")
        style.parent.mkdir()
        style.write_text(_SMALL_TOOLBAR)
        env = {
            **os.environ,
            "DISPLAY": display,
            "XDG_CONFIG_HOME": settings,
            "GDK_BACKEND": "x11",
            "NO_AT_BRIDGE": "1",  # no accessibility bus: nobody listens
            "LIBGL_ALWAYS_SOFTWARE": "1",
            "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1",  # a container has no user namespaces; our own pages alone are shown
        }
        options = Options()
        options.binary_location = str(mini_browser())
        options.add_argument("--automation")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Selenium's own, of how it calls itself
            driver = WebKitGTK(options=options, service=Service(shutil.which(DRIVER), env=env))
        try:
            yield driver
        finally:
            driver.quit()


@contextmanager
def _display() -> Iterator[str]:
    """An X server without a screen, under a number that it has chosen."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1400x1000x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL) as server:
        os.close(write)
        try:
            with os.fdopen(read) as number:
                yield f":{number.readline().strip()}"
        finally:
            server.terminate()
