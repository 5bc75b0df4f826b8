"""GUARANTEES 30: the deployed site's policy holds on its own, on a page where nothing else stands in the way of hostile HTML."""

import pytest
from playwright.sync_api import BrowserContext, Route

from infra.edge_rules import content_security_policy

SITE = "https://chat.example/"
HOSTILE = """<!doctype html><base href="https://evil.example/">
<script>window.owned = 1</script>
<script src="https://evil.example/a.js"></script>
<img src="https://evil.example/b.png"><img src="data:," onerror="window.owned = 2">
<style>body { background: url(https://evil.example/c.png) }</style>
<link rel="stylesheet" href="https://evil.example/d.css">
<iframe src="https://evil.example/e"></iframe><object data="https://evil.example/f"></object>
<svg onload="window.owned = 3"><image href="https://evil.example/g.png"/></svg>
<video src="https://evil.example/h.mp4" autoplay></video><details open ontoggle="window.owned = 4"></details>
<a id="run" href="javascript:window.owned = 5">run</a>
"""


@pytest.mark.parametrize("policy", [True, False], ids=["with the policy", "without it"])
def test_hostile_html_on_a_bare_page_is_stopped_by_the_policy_and_by_nothing_else(context: BrowserContext, policy: bool) -> None:
    reached: list[str] = []

    def answer(route: Route) -> None:
        if route.request.url == SITE:
            headers = {"content-type": "text/html"} | ({"content-security-policy": content_security_policy([])} if policy else {})
            route.fulfill(body=HOSTILE, headers=headers)
        else:
            reached.append(route.request.url)
            route.fulfill(status=404)

    context.route("**/*", answer)
    page = context.new_page()
    page.goto(SITE, wait_until="networkidle")
    page.locator("#run").click()
    page.wait_for_load_state("networkidle")

    owned = page.evaluate("() => window.owned")
    stopped = (owned, reached) == (None, [])
    assert stopped is policy, (owned, reached)
    if not policy:
        assert owned is not None
        assert len(reached) >= 6
