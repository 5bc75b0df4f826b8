"""A window as small as 400 % of zoom makes it: everything can still be reached."""

from playwright.sync_api import Browser, expect

from local.model.script import ScriptedModel
from local.system import LocalSystem
from tests.e2e.web.window import Window


def test_every_action_for_a_chat_is_in_view_when_it_has_the_focus(
    browser: Browser, stack: LocalSystem, model: ScriptedModel
) -> None:
    context = browser.new_context(viewport={"width": 320, "height": 256})
    window = Window.on(context, stack.url).open()
    window.say("Small")
    window.until_stored()
    window.page.keyboard.press("Control+k")
    window.chats.get_by_role("button", name="Actions for Small").first.click()
    for name in ("Rename", "Export", "Delete"):
        item = window.page.get_by_role("menuitem", name=name)
        expect(item).to_be_focused()
        hit = """item => {
            const { x, y, width, height } = item.getBoundingClientRect();
            return document.elementFromPoint(x + width / 2, y + height / 2) === item;
        }"""
        assert item.evaluate(hit), name
        window.page.keyboard.press("ArrowDown")
    context.close()
