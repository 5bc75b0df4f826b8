"""Texts far longer than anyone writes by hand: the page goes on."""

from tests.e2e.web.window import Open


def test_a_key_in_a_box_of_a_megabyte_takes_no_seconds(open_window: Open) -> None:
    """Measured beside a plain box with the same text: what the browser itself needs is not the page's slowness."""
    window = open_window()
    took = window.run(
        """async (text) => {
        const drawn = () => new Promise(done => requestAnimationFrame(() => setTimeout(done)));
        const ours = document.querySelector('#message');
        const plain = ours.parentNode.appendChild(document.createElement('textarea'));
        for (const box of [plain, ours]) {
            box.focus();
            document.execCommand('insertText', false, text);
            await drawn();
        }
        const best = {plain: Infinity, ours: Infinity};
        for (let round = 0; round < 3; round++) {
            for (const [name, box] of [['plain', plain], ['ours', ours]]) {
                box.focus();
                await drawn();
                const start = performance.now();
                document.execCommand('insertText', false, 'x');
                await drawn();
                best[name] = Math.min(best[name], performance.now() - start);
            }
        }
        return best;
    }""",
        "lorem ipsum dolor " * 58_000,
    )
    assert took["ours"] < 4 * took["plain"] + 100, took
