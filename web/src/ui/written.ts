// What is half written, kept by its place for a reload of this tab. Where the browser keeps nothing, it is in its box alone.

const keyOf = (place: string) => `chat.text.${place}`;

/** The place of a message's new text. */
export const placeOfEdit = (messageId: string) => `edit.${messageId}`;

/** What is sent of it: no blank lines before it, no white space after it. Code keeps the indentation of its first line. */
export const trimmed = (text: string) => text.trimEnd().replace(/^([^\S\n]*\n)+/, "");

export const written = {
  get: (place: string): string => {
    try {
      return sessionStorage.getItem(keyOf(place)) ?? "";
    } catch {
      return "";
    }
  },
  set: (place: string, text: string): void => {
    try {
      if (text) sessionStorage.setItem(keyOf(place), text);
      else sessionStorage.removeItem(keyOf(place));
    } catch {
      // Forbidden, or too long.
    }
  },
};
