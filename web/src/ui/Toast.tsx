// A short word at the foot of the page: what was deleted and can be brought back, or what did not work.

import { useEffect } from "react";
import { useStore } from "zustand";
import { createStore } from "zustand/vanilla";
import { strings } from "../strings";
import { useClient } from "./context";
import { takesFocus } from "./focus";

const SAID_MS = 5_000;
const said = createStore<{ text: string }>()(() => ({ text: "" }));

/** Says a sentence for a few seconds. */
export function say(text: string): void {
  said.setState({ text });
}

export function Toast() {
  const client = useClient();
  const removing = useStore(client.list.store, (state) => state.removing);
  const text = useStore(said, (state) => state.text);
  useEffect(() => {
    if (!text) return;
    const timer = setTimeout(() => said.setState({ text: "" }), SAID_MS);
    return () => clearTimeout(timer);
  }, [text]);
  useEffect(
    () =>
      client.list.store.subscribe(({ kept }, before) => {
        if (kept && kept !== before.kept) say(strings.removeFailed(kept.title || strings.untitled));
      }),
    [client],
  );
  useEffect(() => {
    // Whoever closes the page has had the time for an undo.
    const leave = () => client.list.settle(true);
    window.addEventListener("pagehide", leave);
    return () => window.removeEventListener("pagehide", leave);
  }, [client]);
  return (
    <div className="toasts" role="status">
      {removing && (
        <p key={removing.id} className="toast">
          <span dir="auto">{strings.removed(removing.title || strings.untitled)}</span>
          <button ref={takesFocus} type="button" onClick={client.list.undo}>
            {strings.undo}
          </button>
        </p>
      )}
      {text && (
        <p className="toast" dir="auto">
          {text}
        </p>
      )}
    </div>
  );
}
