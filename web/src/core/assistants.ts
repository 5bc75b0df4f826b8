// The assistants on offer, and which of them, with which model, answers the next new chat.

import { createStore } from "zustand/vanilla";
import type { Api } from "./api";
import type { Drafts } from "./drafts";
import { KINDS } from "./kinds";
import type { Records } from "./storage";
import type { Bud } from "./types";

export type Assistants = ReturnType<typeof createAssistants>;

export function createAssistants(api: Api, drafts: Drafts, records: Records) {
  const seen = records.slot(KINDS.buds);
  const choice = records.slot(KINDS.choice);
  const store = createStore<{ items: Bud[]; bud: string; model: string | null }>()(() => ({
    items: seen.get() ?? [],
    ...(choice.get() ?? { bud: "default", model: null }),
  }));
  const chosen = () => {
    const { items, bud } = store.getState();
    return items.find((one) => one.id === bud) ?? items[0] ?? null;
  };
  /** The chat on /new, if nothing was said in it yet, is with the one that is chosen now. */
  const greet = () => drafts.configure(chosen(), store.getState().model);
  return {
    store,
    greet,

    /** A fresh chat on /new. */
    begin: () => drafts.begin(chosen(), store.getState().model),

    load: async (): Promise<void> => {
      const items = await api.buds().catch(() => null);
      if (!items) return; // those of the last visit serve; a turn says what is wrong, if something is
      seen.set(items);
      store.setState({ items });
      if (!drafts.current().messages.length) greet();
    },

    choose: (budId: string, model: string | null): void => {
      const bud = store.getState().items.find((one) => one.id === budId);
      const allowed = model && bud?.models.includes(model) ? model : null;
      store.setState({ bud: budId, model: allowed });
      choice.set({ bud: budId, model: allowed });
      greet();
    },
  };
}
