// The assistants on offer, and which of them, with which model, answers the next new chat.

import { createStore } from "zustand/vanilla";
import type { Api } from "./api";
import type { Drafts } from "./drafts";
import { remembered, rememberedList } from "./session";
import type { Bud } from "./types";

export type Assistants = ReturnType<typeof createAssistants>;

export function createAssistants(api: Api, drafts: Drafts) {
  const store = createStore<{ items: Bud[]; bud: string; model: string | null }>()(() => ({
    items: rememberedList<Bud>("buds").get(),
    bud: remembered<string>("bud").get() ?? "default",
    model: remembered<string>("model").get(),
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
      rememberedList<Bud>("buds").set(items);
      store.setState({ items });
      if (!drafts.current().messages.length) greet();
    },

    choose: (budId: string, model: string | null): void => {
      const bud = store.getState().items.find((one) => one.id === budId);
      const allowed = model && bud?.models.includes(model) ? model : null;
      store.setState({ bud: budId, model: allowed });
      remembered<string>("bud").set(budId);
      remembered<string>("model").set(allowed);
      greet();
    },
  };
}
