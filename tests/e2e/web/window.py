"""A browser window with the client in it, and what a person sees and does there."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlparse

from playwright.sync_api import BrowserContext, Locator, Page, Request, expect


@dataclass
class Window:
    """One tab. `asked` are the API requests it made, `problems` what its console complained of."""

    page: Page
    url: str
    asked: list[tuple[str, str]] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @classmethod
    def on(cls, context: BrowserContext, url: str) -> "Window":
        window = cls(context.new_page(), url)
        window.page.on("request", window._note_request)
        window.page.on("console", lambda message: window.problems.append(message.text) if message.type == "error" else None)
        window.page.on("pageerror", lambda error: window.problems.append(str(error)))
        return window

    def _note_request(self, request: Request) -> None:
        parts = urlparse(request.url)
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.foreign.append(request.url)
        elif parts.path.startswith("/api/"):
            self.asked.append((request.method, parts.path))

    def open(self, path: str = "/new") -> "Window":
        self.page.goto(self.url + path)
        return self

    @property
    def path(self) -> str:
        return urlparse(self.page.url).path

    @property
    def conversation_id(self) -> str:
        self.until_stored()
        return self.path.removeprefix("/chat/")

    @property
    def box(self) -> Locator:
        return self.page.get_by_role("textbox", name="Message", exact=True)

    @property
    def questions(self) -> Locator:
        return self.page.locator(".message.user .bubble")

    @property
    def answers(self) -> Locator:
        """The answers without the greeting."""
        return self.page.locator(".message.user ~ .message.assistant .prose")

    @property
    def chats(self) -> Locator:
        return self.page.get_by_role("navigation", name="Chats")

    def say(self, text: str) -> None:
        self.box.fill(text)
        self.box.press("Enter")
        expect(self.questions.last).to_have_text(text)

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).last.click()

    def until_stored(self) -> None:
        expect(self.page).to_have_url(re.compile(r"/chat/[0-9a-f-]{36}$"), timeout=20_000)

    def until_over(self) -> None:
        expect(self.page.get_by_role("button", name="Send", exact=True)).to_be_visible(timeout=20_000)

    def run(self, script: str, argument: Any = None) -> Any:
        return self.page.evaluate(script, argument)


Open = Callable[..., Window]
