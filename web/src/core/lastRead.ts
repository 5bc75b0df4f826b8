// Which branch of each chat was read last, kept across visits: the end of the branch, as the API's `through` names it.

import type { Slot } from "./storage";

/** The chats, the one read last at the end, each with a message of its branch. */
export type LastRead = [chat: string, through: string][];

const KEPT = 200;

export type Memory = ReturnType<typeof createLastRead>;

export function createLastRead(slot: Slot<LastRead>) {
  const without = (id: string) => (slot.get() ?? []).filter(([chat]) => chat !== id);
  return {
    of: (id: string): string | undefined => slot.get()?.find(([chat]) => chat === id)?.[1],
    note: (id: string, through: string | null): void => {
      if (through !== null) slot.set([...without(id), [id, through] as [string, string]].slice(-KEPT));
    },
    forget: (id: string): void => void slot.set(without(id)),
  };
}
