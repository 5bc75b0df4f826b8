// What a pressed key asks for. Every key handler of the page goes through here, so that all of them leave input methods alone.

import { onApple } from "../core/platform";

type Pressed = Pick<
  globalThis.KeyboardEvent,
  "key" | "code" | "keyCode" | "isComposing" | "shiftKey" | "altKey" | "ctrlKey" | "metaKey"
>;
type KeyEvent = Pressed | { nativeEvent: Pressed };

const PROCESSED = 229; // the key code that says: an input method has taken this key

const pressed = (event: KeyEvent): Pressed => ("nativeEvent" in event ? event.nativeEvent : event);

/** The key's name; empty for one that belongs to an input method. Safari ends a composition before the key that ended it. */
export function keyOf(event: KeyEvent): string {
  const { key, keyCode, isComposing } = pressed(event);
  return isComposing || keyCode === PROCESSED ? "" : key;
}

/** Whether the page is used by touch: its keyboard has no Shift + Enter and no arrow keys. */
export const usesTouch = (): boolean =>
  !matchMedia("(pointer: fine)").matches && !matchMedia("(pointer: none)").matches;

/** Whether the key sends what is written: Enter, but on touch, where Enter is the only way to a new line, a button sends. */
export function sends(event: KeyEvent): boolean {
  if (keyOf(event) !== "Enter") return false;
  const { shiftKey, altKey, ctrlKey, metaKey } = pressed(event);
  if (ctrlKey || metaKey) return true;
  return !shiftKey && !altKey && !usesTouch();
}

/**
 * Whether the key is the shortcut with this Latin letter: with Command on Apple's systems, where Control with a letter edits text
 * (Control + K deletes to the end of the line), and with Control elsewhere. AltGr, which is Control with Alt there, writes characters.
 */
export function isShortcut(event: KeyEvent, letter: string, { shift = false } = {}): boolean {
  const { code, shiftKey, altKey, ctrlKey, metaKey } = pressed(event);
  const command = onApple() ? metaKey && !ctrlKey : ctrlKey && !metaKey;
  if (!command || altKey || shiftKey !== shift) return false;
  const key = keyOf(event).toLowerCase();
  // A keyboard of another script has the letter's key, but not its name.
  return key === letter || (/^[^\x20-\x7f]$/.test(key) && code === `Key${letter.toUpperCase()}`);
}
