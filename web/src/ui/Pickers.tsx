// Which assistant answers, and with which model; chosen before the first message, shown after it.

import { useStore } from "zustand";
import type { Home } from "../core/turns";
import { strings } from "../strings";
import { useChat, useClient } from "./context";

export function Pickers() {
  const client = useClient();
  const { items, bud, model } = useStore(client.buds);
  if (!items.length) return null;
  const chosen = items.find((one) => one.id === bud) ?? items[0];
  const models = chosen?.models ?? [];
  return (
    <div className="pickers">
      <select
        aria-label={strings.bud}
        value={chosen?.id}
        onChange={(event) => client.choose(event.target.value, model)}
      >
        {items.map((one) => (
          <option key={one.id} value={one.id}>
            {`${one.avatar} ${one.name}`.trim()}
          </option>
        ))}
      </select>
      {models.length > 1 && (
        <select
          aria-label={strings.model}
          value={model ?? models[0]}
          onChange={(event) => client.choose(chosen?.id ?? bud, event.target.value)}
        >
          {models.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      )}
    </div>
  );
}

/** The assistant and the model of a chat that has begun. */
export function Chosen({ home }: { home: Home }) {
  const client = useClient();
  const budId = useChat(home, (chat) => chat?.meta.budId);
  const model = useChat(home, (chat) => chat?.meta.model);
  const bud = useStore(client.buds, (state) => state.items.find((one) => one.id === budId));
  return <span className="chosen">{[bud?.name, model].filter(Boolean).join(" · ")}</span>;
}
