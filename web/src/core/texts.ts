// What is half written, kept for a reload of this tab: per place, in the workspace that the place belongs to.

import { KINDS } from "./kinds";
import type { Records } from "./storage";

/** `place` is a chat's id, "new", or what `placeOfEdit` says. */
export interface Texts {
  get: (place: string) => string;
  set: (place: string, text: string) => void;
}

export function createTexts(records: Records, workspaceOf: (place: string) => string | null): Texts {
  const slot = (place: string) => records.slot(KINDS.text, place, workspaceOf(place));
  return {
    get: (place) => slot(place).get() ?? "",
    set: (place, text) => void slot(place).set(text || null),
  };
}
