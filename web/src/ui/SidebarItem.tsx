// One chat in the list: where it leads, whether its answer is under way, and what can be done with it.

import { memo, useEffect, useRef, useState } from "react";
import { flushSync } from "react-dom";
import { useLocation } from "wouter";
import { useStore } from "zustand";
import { fileNameOf } from "../core/filename";
import type { Summary } from "../core/types";
import { strings } from "../strings";
import { useClient } from "./context";
import { keyOf } from "./keys";
import { Menu } from "./Menu";
import { NavLink } from "./NavLink";

interface Props {
  place: string;
  to: string;
  title: string;
  summary?: Summary;
  onOpen: () => void;
}

export const SidebarItem = memo(function SidebarItem({ place, to, title, summary, onOpen }: Props) {
  const client = useClient();
  // A chat on /new is under way there until it moves, also when the list has its name.
  const created = useStore(client.drafts.store, (state) => state.created);
  const busy = useStore(client.turns.running, (running) =>
    Object.values(running).some((turn) => turn.place === place || created[turn.place] === place),
  );
  const saving = useStore(client.saving, (saving) => saving[place] ?? false);
  const [renaming, setRenaming] = useState(false);
  const row = useRef<HTMLLIElement>(null);
  const shown = title || strings.untitled;
  if (renaming && summary) {
    const end = (next: string, byKey: boolean) => {
      flushSync(() => setRenaming(false));
      if (byKey) row.current?.querySelector("button")?.focus(); // where the renaming began
      if (next && next !== title) client.rename(summary.id, next).catch(() => client.say(strings.renameFailed));
    };
    return (
      <li ref={row}>
        <RenameBox title={title} onEnd={end} />
      </li>
    );
  }
  return (
    <li ref={row}>
      <NavLink to={to} className={summary ? "" : "unnamed"} onClick={onOpen} title={shown}>
        <span className="title" dir="auto">
          {shown}
        </span>
        {busy && (
          <span className="busy">
            <span className="hidden">{strings.underWay}</span>
          </span>
        )}
      </NavLink>
      {summary && <ItemMenu summary={summary} shown={shown} onRename={() => setRenaming(true)} onLeave={onOpen} />}
      {!summary && !busy && !saving && (
        <Menu
          label={strings.actions(shown)}
          items={[{ label: strings.remove, act: () => client.discard(place), grave: true }]}
        />
      )}
    </li>
  );
});

interface MenuProps {
  summary: Summary;
  shown: string;
  onRename: () => void;
  onLeave: () => void;
}

function ItemMenu({ summary, shown, onRename, onLeave }: MenuProps) {
  const client = useClient();
  const [pathname, navigate] = useLocation();
  const save = async () => {
    try {
      download(await client.api.export(summary.id), `${fileNameOf(shown, "chat")}.json`);
    } catch {
      client.say(strings.exportFailed);
    }
  };
  const remove = () => {
    client.remove(summary.id);
    if (pathname !== `/chat/${summary.id}`) return;
    navigate("/new");
    onLeave();
  };
  return (
    <Menu
      label={strings.actions(shown)}
      items={[
        { label: strings.rename, act: onRename },
        { label: strings.export, act: () => void save() },
        { label: strings.remove, act: remove, grave: true },
      ]}
    />
  );
}

function RenameBox({ title, onEnd }: { title: string; onEnd: (title: string, byKey: boolean) => void }) {
  const box = useRef<HTMLInputElement>(null);
  const over = useRef(false);
  useEffect(() => box.current?.select(), []);
  const end = (next: string, byKey: boolean) => {
    if (over.current) return; // leaving the box by a key also blurs it
    over.current = true;
    onEnd(next.trim(), byKey);
  };
  return (
    <input
      ref={box}
      className="rename"
      defaultValue={title}
      maxLength={200}
      aria-label={strings.renameLabel}
      enterKeyHint="done"
      dir="auto"
      onBlur={(event) => end(event.target.value, false)}
      onKeyDown={(event) => {
        const key = keyOf(event);
        if (key !== "Enter" && key !== "Escape") return;
        event.preventDefault(); // it leaves the box: it presses nothing where the focus goes, and ends nothing else
        end(key === "Enter" ? event.currentTarget.value : title, true);
      }}
    />
  );
}

function download(file: Blob, name: string): void {
  const url = URL.createObjectURL(file);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1_000);
}
