// A text box as high as its text; the style sheet bounds it.

export function fitHeight(area: HTMLTextAreaElement | null, _text: string): void {
  if (!area) return;
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight}px`;
}
