// A text box as high as its text; the style sheet bounds it, and does all of it where the browser can.

const BY_ITSELF = globalThis.CSS?.supports?.("field-sizing", "content") ?? false;

export function fitHeight(area: HTMLTextAreaElement | null, _text: string): void {
  if (!area || BY_ITSELF) return;
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight}px`;
}
