// A short word at the foot of the page: what was deleted and can be brought back, or what did not work.

import { useEffect, useRef } from "react";
import { useStore } from "zustand";
import { Countdown } from "../core/countdown";
import { strings } from "../strings";
import { useClient } from "./context";
import { takesFocus } from "./focus";
import { useHeld } from "./useHeld";

const SAID_MS = 5_000;

export function Toast() {
  const client = useClient();
  const removing = useStore(client.list.store, (state) => state.removing);
  const text = useStore(client.said, (state) => state.text);
  useEffect(
    () =>
      client.list.store.subscribe(({ kept }, before) => {
        if (kept && kept !== before.kept) client.say(strings.removeFailed(kept.title || strings.untitled));
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
      {removing && <Undo key={removing.id} title={removing.title || strings.untitled} />}
      {text && <Said key={text} text={text} />}
    </div>
  );
}

function Undo({ title }: { title: string }) {
  const client = useClient();
  const { held, on } = useHeld();
  useEffect(() => client.list.hold(held), [client, held]);
  return (
    <p className="toast" {...on}>
      <span dir="auto">{strings.removed(title)}</span>
      <button ref={takesFocus} type="button" onClick={client.list.undo}>
        {strings.undo}
      </button>
    </p>
  );
}

function Said({ text }: { text: string }) {
  const client = useClient();
  const time = useRef<Countdown>(null);
  const { held, on } = useHeld();
  useEffect(() => {
    time.current = new Countdown(SAID_MS, () => client.say(""));
    return () => time.current?.cancel();
  }, [client]);
  useEffect(() => time.current?.hold(held), [held]);
  return (
    <p className="toast" dir="auto" {...on}>
      {text}
    </p>
  );
}
