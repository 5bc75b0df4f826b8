"""Texts far longer than anyone writes by hand: the page goes on."""

from tests.e2e.web.window import Open


def test_a_key_in_a_box_of_a_megabyte_takes_no_seconds(open_window: Open) -> None:
    window = open_window()
    window.box.focus()
    window.run("text => document.execCommand('insertText', false, text)", "lorem ipsum dolor " * 58_000)
    took = window.run("""async () => {
        const drawn = () => new Promise(done => requestAnimationFrame(() => setTimeout(done)));
        await drawn();
        const start = performance.now();
        document.execCommand('insertText', false, 'x');
        await drawn();
        return performance.now() - start;
    }""")
    assert took < 1_500, f"{took:.0f} ms"
