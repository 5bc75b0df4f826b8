// Cuts a text at a length, never inside what its reader sees as one character: an emoji, a letter with its accents, a flag.

/** Whether the text has at most so many code points. */
export const fits = (text: string, length: number): boolean => text.length <= length || [...text].length <= length;

/** The first characters of the text: `length` code points, or fewer where the last would be a part of a character. */
export function cut(text: string, length: number): string {
  if (fits(text, length)) return text;
  const whole = [...text].slice(0, length).join("");
  if (!Intl.Segmenter) return whole; // at least no half of a code point
  // What comes next decides whether the last character is whole, so it is looked for in the text itself.
  const last = new Intl.Segmenter().segment(text).containing(whole.length)?.index ?? whole.length;
  return text.slice(0, last) || whole; // one character longer than all there is room for
}
