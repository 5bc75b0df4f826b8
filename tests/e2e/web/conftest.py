"""Chromium, the local system with a scripted model behind it, and windows on the built client."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from local.model.script import ScriptedModel, done, finish, token, usage
from local.system import LocalSystem
from tests.e2e.web.sign_in_page import SignInPage
from tests.e2e.web.window import Open, Window
from tests.oidc import OidcProvider
from tests.support.http import with_digest

ROOT = Path(__file__).parents[3]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker runs all of these: a second stack and a second browser would only slow both."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("browser"))
            item.add_marker(pytest.mark.slow)


# Of this folder, not of the session: Playwright's loop would stand in the way of every asynchronous test that comes after it.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    missing = [
        what
        for what, there in (
            ("chromium is not installed (Debian: apt install chromium)", chromium),
            ("the web client is not built (make web-build)", (ROOT / "web" / "dist" / "index.html").is_file()),
        )
        if not there
    ]
    if missing:
        reason = "; ".join(missing)
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def shared_model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as model:
        yield model


@pytest.fixture(scope="package")
def stack(browser: Browser, shared_model: ScriptedModel) -> Iterator[LocalSystem]:
    """`browser` comes first so that nothing is started where there is none. The front is as strict as the deployment's."""
    env = {
        "OPENAI_BASE_URL": shared_model.url, "OPENAI_API_KEY": "none", "DEFAULT_MODEL": "test", "MODELS": "test,other",
        "CHAT_STRICT_EDGE": "1", "CHAT_EMBEDDED_AWS_FAULTS": "1", "CHAT_SAVE_S": "4", "CHAT_RECEIPT_WAIT_S": "4",
    }  # fmt: skip
    with LocalSystem(env) as system:
        yield system


@pytest.fixture
def model(shared_model: ScriptedModel) -> ScriptedModel:
    """The scripted model; a request without a script is answered at once, shortly."""
    shared_model._scripts.clear()  # what a test that failed left behind is not for the next
    shared_model.always_plays(token("An answer"), token(" in two pieces."), finish(), usage(5, 6), done())
    return shared_model


@pytest.fixture
def api(stack: LocalSystem) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=stack.url, event_hooks={"request": [with_digest]}) as client:
        yield client


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1200, "height": 800}, permissions=["clipboard-read", "clipboard-write"])
    yield context
    context.unroute_all(behavior="ignoreErrors")  # a request that a route still holds is not for the next test
    context.close()


@pytest.fixture
def open_window(context: BrowserContext, stack: LocalSystem) -> Iterator[Open]:
    """Opens a tab of one browser profile at a path; no tab may have complained when the test is over."""
    windows: list[Window] = []

    def open_at(path: str = "/new") -> Window:
        windows.append(Window.on(context, stack.url))
        return windows[-1].open(path)

    yield open_at
    # A lost connection and a 404 that is looked for are written to the console by the browser itself.
    problems = [text for window in windows for text in window.problems if "Failed to load resource" not in text]
    assert problems == []


@pytest.fixture(scope="package")
def shared_page() -> Iterator[SignInPage]:
    with OidcProvider() as provider:
        page = SignInPage(provider)
        yield page
        page.close()


@pytest.fixture
def sign_in_page(shared_page: SignInPage) -> SignInPage:
    shared_page.begin_again()
    return shared_page


@pytest.fixture(scope="package")
def guarded(browser: Browser, shared_model: ScriptedModel, shared_page: SignInPage) -> Iterator[LocalSystem]:
    """The system with sign-in; `browser` comes first so that nothing is started where there is none."""
    env = {
        "OPENAI_BASE_URL": shared_model.url,
        "OPENAI_API_KEY": "none",
        "OIDC_ISSUER": shared_page.issuer,
        "OIDC_AUDIENCE": OidcProvider.audience,
        "CHAT_STRICT_EDGE": "1",
        "SAVE_S": "4",
        "RECEIPT_WAIT_S": "4",
    }
    with LocalSystem(env) as system:
        yield system
