// The page: the list beside a chat. One chat interface stands under both routes, so the passage from one to the other keeps its nodes.

import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { flushSync } from "react-dom";
import { Link, Outlet, useLocation, useMatch, useNavigate } from "react-router";
import { useStore } from "zustand";
import type { Home } from "../core/turns";
import { strings } from "../strings";
import { ChatInterface } from "./ChatInterface";
import { useChat, useClient } from "./context";
import { ErrorBoundary } from "./ErrorBoundary";
import { focusChat } from "./focus";
import { Icon } from "./icons";
import { Chosen, Pickers } from "./Pickers";
import { Sidebar } from "./Sidebar";
import { Toast } from "./Toast";

export function Layout() {
  const client = useClient();
  const { home, key } = useHome();
  const [listOpen, setListOpen] = useState(false);
  const search = useRef<HTMLInputElement>(null);
  const opener = useRef<HTMLButtonElement>(null);
  const navigate = useNavigate();
  const { pathname } = useLocation();
  const close = useCallback(() => setListOpen(false), []);
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      const command = event.metaKey || event.ctrlKey;
      if (command && !event.shiftKey && event.key.toLowerCase() === "k") {
        event.preventDefault();
        flushSync(() => setListOpen(true)); // shown before it is focused, and focused before the next key
        search.current?.focus();
      } else if (command && event.shiftKey && event.key.toLowerCase() === "o") {
        event.preventDefault();
        client.startNew();
        navigate("/new");
      }
    };
    window.addEventListener("keydown", onKeyDown);
    return () => window.removeEventListener("keydown", onKeyDown);
  }, [client, navigate]);
  const title = useChat(home, (chat) => (chat ? chat.meta.title || strings.newChat : ""));
  useEffect(() => {
    // Not in the task of the key that sends: the browser's own part of it is felt on a slow phone.
    const timer = setTimeout(() => {
      document.title = title || strings.app;
    });
    return () => clearTimeout(timer);
  }, [title]);
  const isNew = useChat(
    home,
    (chat) => chat !== undefined && !chat.messages.some((message) => message.role === "user"),
  );
  return (
    <div className="page">
      {/* biome-ignore lint/a11y/useValidAnchor: a skip link, which goes to the box where there is one */}
      <a className="skip" href="#chat" onClick={skip}>
        {strings.skip}
      </a>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: the ground beside an open list closes it; Escape does, too */}
      <div
        className="list-layer"
        onClick={(event) => event.target === event.currentTarget && close()}
        onKeyDown={(event) => {
          if (event.key !== "Escape" || !listOpen || event.defaultPrevented) return;
          event.preventDefault();
          close();
          opener.current?.focus();
        }}
        data-open={listOpen}
      >
        <Sidebar open={listOpen} search={search} onClose={close} />
      </div>
      <main id="chat" tabIndex={-1}>
        <header>
          <button
            ref={opener}
            type="button"
            className="quiet narrow-only"
            aria-label={strings.openSidebar}
            aria-expanded={listOpen}
            onClick={() => setListOpen(true)}
          >
            <Icon name="menu" />
          </button>
          <h1 className={isNew || !title ? "hidden" : undefined} dir="auto">
            {title || strings.app}
          </h1>
          {isNew ? <Pickers /> : <Chosen home={home} />}
          <Link className="quiet narrow-only" to="/new" aria-label={strings.newChat} onClick={client.startNew}>
            <Icon name="plus" />
          </Link>
        </header>
        <ErrorBoundary key={pathname}>
          <Outlet />
        </ErrorBoundary>
        <ErrorBoundary key={key}>
          <Opened home={home} />
        </ErrorBoundary>
      </main>
      <Toast />
    </div>
  );
}

function skip(event: { preventDefault: () => void }): void {
  event.preventDefault();
  focusChat();
}

/** Whose state is on screen. The key outlives the passage: a chat that began on /new keeps its place in the page. */
function useHome(): { home: Home; key: string } {
  const client = useClient();
  const id = useMatch("/chat/:id")?.params.id;
  const draft = useStore(client.drafts.store, (state) => state.current);
  const origin = useStore(
    client.drafts.store,
    (state) => id && Object.keys(state.moved).find((one) => state.moved[one] === id),
  );
  const home = useMemo(
    () => (id ? { chats: client.chats, id } : { chats: client.drafts.chats, id: draft }),
    [client, id, draft],
  );
  return { home, key: id ? origin || id : draft };
}

function Opened({ home }: { home: Home }) {
  const client = useClient();
  const there = useChat(home, (chat) => chat !== undefined);
  const opening = useStore(client.opening, (state) => state[home.id]);
  if (there) return <ChatInterface home={home} />;
  if (opening === "missing" || opening === "failed") {
    return (
      <div className="notice" role="alert">
        <Icon name={opening === "missing" ? "search" : "alert"} />
        <p>{opening === "missing" ? strings.missing : strings.openFailed}</p>
        <div className="notice-actions">
          {opening === "failed" && (
            <button type="button" className="primary" onClick={() => void client.open(home.id)}>
              {strings.tryAgain}
            </button>
          )}
          <Link className={opening === "missing" ? "primary" : "plain"} to="/new">
            {strings.startNew}
          </Link>
        </div>
      </div>
    );
  }
  return (
    <div className="loading" role="status">
      <span className="hidden">{strings.loadingChat}</span>
      <i />
      <i />
      <i />
      <i />
    </div>
  );
}
