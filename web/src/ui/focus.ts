// Where the focus goes when what had it is gone: never to the page's beginning.

/** To the box to write in; to the chat itself where that would bring a keyboard up, over half of what there is to read. */
export function focusChat(): void {
  const box = matchMedia("(pointer: fine)").matches && document.getElementById("message");
  (box || document.getElementById("chat"))?.focus({ preventScroll: true });
}

/** The ref of a control that goes while it is in use. */
export function passesFocus(node: HTMLElement | null): () => void {
  return () => {
    if (document.activeElement === node) focusChat();
  };
}

/** The ref of a control that comes where another has gone, and goes again. */
export function takesFocus(node: HTMLElement | null): () => void {
  if (document.activeElement === document.body) node?.focus();
  return passesFocus(node);
}
