// The list of chats: new ones still without a name, then the stored ones, newest first, loaded page by page.

import { type MouseEvent, type Ref, useEffect, useRef, useState } from "react";
import { useStore } from "zustand";
import { useShallow } from "zustand/react/shallow";
import { ageOf } from "../core/age";
import type { Summary } from "../core/types";
import { strings } from "../strings";
import { Account } from "./Account";
import { useClient } from "./context";
import { Icon } from "./icons";
import { whenIdle } from "./idle";
import { keyOf } from "./keys";
import { NavLink } from "./NavLink";
import { SidebarItem } from "./SidebarItem";

interface Props {
  ref: Ref<HTMLElement>;
  open: boolean;
  search: Ref<HTMLInputElement>;
  onClose: () => void;
  onNew: (event: MouseEvent) => void;
}

export function Sidebar({ ref, open, search, onClose, onNew }: Props) {
  const client = useClient();
  const [query, setQuery] = useState("");
  const { items, state, cursor } = useStore(client.list.store);
  useFreshList();
  const look = () => void client.list.ensure();
  useEffect(() => {
    if (open) void client.list.ensure();
  }, [open, client]);
  useEffect(() => {
    // Titles are searched here, so a search brings in the pages not loaded yet.
    if (query && cursor && state === "ready") void client.list.more();
  }, [query, cursor, state, client]);
  const wanted = query.trim().toLowerCase();
  const isWanted = (title: string) => title.toLowerCase().includes(wanted);
  const found = items.filter((item) => isWanted(item.title));
  const unnamed = Object.entries(useUnnamed()).filter(([, title]) => isWanted(title));
  const none = !found.length && !unnamed.length;
  return (
    <nav
      ref={ref}
      tabIndex={-1}
      className={open ? "sidebar open" : "sidebar"}
      aria-label={strings.chats}
      onPointerEnter={look}
      onFocus={look}
    >
      <div className="sidebar-top">
        <NavLink className="new-chat" to="/new" onClick={onNew}>
          <Icon name="plus" />
          {strings.newChat}
        </NavLink>
        <button type="button" className="quiet narrow-only" aria-label={strings.closeSidebar} onClick={onClose}>
          <Icon name="close" />
        </button>
      </div>
      <label className="search">
        <Icon name="search" />
        <input
          ref={search}
          type="search"
          value={query}
          placeholder={strings.search}
          aria-label={strings.search}
          onChange={(event) => setQuery(event.target.value)}
          onKeyDown={(event) => {
            if (keyOf(event) !== "Escape" || !query) return;
            event.preventDefault(); // it empties the box: nothing else is to end
            setQuery("");
          }}
        />
        {/* biome-ignore lint/a11y/noAriaHiddenOnFocusable: it takes no focus */}
        <kbd aria-hidden="true">{strings.searchKeys}</kbd>
      </label>
      <div className="chats">
        <Unnamed items={unnamed} onClose={onClose} />
        <Groups items={found} onClose={onClose} />
        {wanted && none && state !== "loading" && <p className="empty">{strings.noMatch(query.trim())}</p>}
        {!wanted && none && state === "ready" && <p className="empty">{strings.noChats}</p>}
        {!items.length && (state === "idle" || state === "loading") && <p className="empty">{strings.loadingChats}</p>}
        {state === "failed" && (
          <p className="empty">
            {strings.listFailed}{" "}
            <button type="button" className="link" onClick={() => void client.list.refresh()}>
              {strings.tryAgain}
            </button>
          </p>
        )}
        {cursor && state !== "failed" && <More key={cursor} />}
      </div>
      <Account />
    </nav>
  );
}

/** Loads the list once the page has nothing else to do, and asks again when its reader comes back to it. */
function useFreshList(): void {
  const client = useClient();
  useEffect(() => {
    const cancel = whenIdle(() => void client.list.ensure());
    const look = () => {
      if (document.visibilityState === "visible") void client.list.look();
    };
    window.addEventListener("focus", look);
    document.addEventListener("visibilitychange", look);
    return () => {
      cancel();
      window.removeEventListener("focus", look);
      document.removeEventListener("visibilitychange", look);
    };
  }, [client]);
}

/** The titles of the chats the server has not named yet and that are not the one on /new. */
function useUnnamed(): Record<string, string> {
  const client = useClient();
  const current = useStore(client.drafts.store, (state) => state.current);
  const visible = useStore(client.drafts.store, (state) => state.visible);
  useStore(client.workspace); // a chat is listed in its own
  return useStore(
    client.drafts.chats,
    useShallow((state) =>
      Object.fromEntries(
        Object.values(state.conversations)
          .filter((chat) => client.isHere(chat.meta.workspaceId) && !(visible && chat.id === current))
          .filter((chat) => chat.messages.some((message) => message.role === "user"))
          .map((chat) => [chat.id, chat.meta.title]),
      ),
    ),
  );
}

function Unnamed({ items, onClose }: { items: [id: string, title: string][]; onClose: () => void }) {
  const client = useClient();
  if (!items.length) return null;
  return (
    <ul>
      {items.map(([id, title]) => (
        <SidebarItem
          key={id}
          place={id}
          to="/new"
          title={title}
          onOpen={() => {
            client.resumeNew(id);
            onClose();
          }}
        />
      ))}
    </ul>
  );
}

function Groups({ items, onClose }: { items: Summary[]; onClose: () => void }) {
  const groups = new Map<string, Summary[]>();
  for (const item of items) {
    const name = strings[ageOf(item.updatedAt)];
    groups.set(name, [...(groups.get(name) ?? []), item]);
  }
  return [...groups].map(([name, members]) => (
    <section key={name} aria-label={name}>
      <h2>{name}</h2>
      <ul>
        {members.map((item) => (
          <SidebarItem
            key={item.id}
            place={item.id}
            to={`/chat/${item.id}`}
            title={item.title}
            summary={item}
            onOpen={onClose}
          />
        ))}
      </ul>
    </section>
  ));
}

/** Loads the next page when it comes into view, or is pressed. */
function More() {
  const client = useClient();
  const end = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    const seen = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) void client.list.more();
    });
    if (end.current) seen.observe(end.current);
    return () => seen.disconnect();
  }, [client]);
  return (
    <button ref={end} type="button" className="plain wide" onClick={() => void client.list.more()}>
      {strings.more}
    </button>
  );
}
