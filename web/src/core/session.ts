// What a reload of this tab must find at once: the chat on /new and the turn that answers it, in sessionStorage.

import type { Conversation } from "./types";

const KEY = "chat.new";

export interface NewChat {
  draft: Conversation;
  turnId: string | null;
  owner: string;
}

export function saveNewChat(chat: NewChat | null): void {
  try {
    if (chat) sessionStorage.setItem(KEY, JSON.stringify(chat));
    else sessionStorage.removeItem(KEY);
  } catch {
    // Full or forbidden: the outbox has it, too.
  }
}

export function loadNewChat(): NewChat | null {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? "null") as NewChat | null;
  } catch {
    return null;
  }
}

/** What is half written; `place` is the chat's id, "new", or what `placeOfEdit` says. In its box alone where nothing can be kept. */
export const written = {
  get: (place: string): string => {
    try {
      return sessionStorage.getItem(`chat.text.${place}`) ?? "";
    } catch {
      return "";
    }
  },
  set: (place: string, text: string): void => {
    try {
      if (text) sessionStorage.setItem(`chat.text.${place}`, text);
      else sessionStorage.removeItem(`chat.text.${place}`);
    } catch {
      // Forbidden, or too long to be kept: it stays in the box.
    }
  },
};

/** A small value kept across visits (a cache, never the only copy). */
export function remembered<T>(name: string): { get: () => T | null; set: (value: T | null) => void } {
  return {
    get: () => {
      try {
        return JSON.parse(localStorage.getItem(`chat.${name}`) ?? "null") as T | null;
      } catch {
        return null;
      }
    },
    set: (value) => {
      try {
        if (value === null) localStorage.removeItem(`chat.${name}`);
        else localStorage.setItem(`chat.${name}`, JSON.stringify(value));
      } catch {
        // A cache that cannot be written is an empty one.
      }
    },
  };
}

/** A list kept across visits; empty where there is none, or what is there is of another shape. */
export function rememberedList<T>(name: string): { get: () => T[]; set: (value: T[]) => void } {
  const { get, set } = remembered<unknown>(name);
  return {
    get: () => {
      const value = get();
      return Array.isArray(value) ? (value as T[]) : [];
    },
    set,
  };
}
