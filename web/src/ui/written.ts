// What is half written: the name of its place, and what is sent of it.

/** The place of a message's new text. */
export const placeOfEdit = (messageId: string) => `edit.${messageId}`;

/** No blank lines before it, no white space after it. Code keeps the indentation of its first line. */
export const trimmed = (text: string) => text.trimEnd().replace(/^([^\S\n]*\n)+/, "");
