// The page: the list beside a chat. One chat interface stands under both routes, so the passage from one to the other keeps its nodes.

import { type MouseEvent, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { flushSync } from "react-dom";
import { Link, useLocation, useRoute } from "wouter";
import { useStore } from "zustand";
import type { Home } from "../core/turns";
import { strings } from "../strings";
import { ChatInterface } from "./ChatInterface";
import { useChat, useClient } from "./context";
import { ErrorBoundary } from "./ErrorBoundary";
import { focusChat } from "./focus";
import { Icon } from "./icons";
import { isShortcut, keyOf } from "./keys";
import { Chosen, Pickers } from "./Pickers";
import { Routes } from "./routes";
import { Sidebar } from "./Sidebar";
import { Toast } from "./Toast";

const NARROW = "(max-width: 800px)"; // as in page.css: the list lies over the chat

export function Layout() {
  const client = useClient();
  const { home, key } = useHome();
  const [listOpen, setListOpen] = useState(false);
  const search = useRef<HTMLInputElement>(null);
  const opener = useRef<HTMLButtonElement>(null);
  const [pathname, navigate] = useLocation();
  const list = useRef<HTMLElement>(null);
  // Shown before it is focused, and focused before the next key; what is covered takes no focus.
  const openList = useCallback((focused: HTMLElement | null) => {
    if (matchMedia(NARROW).matches) flushSync(() => setListOpen(true));
    focused?.focus();
  }, []);
  const close = useCallback(() => {
    flushSync(() => setListOpen(false));
    opener.current?.focus();
  }, []);
  const startNew = useCallback(() => {
    client.startNew();
    close();
    focusChat();
  }, [client, close]);
  const onNew = (event: MouseEvent) => {
    // With a key held it opens another tab or window: nothing changes in this one.
    if (!(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)) startNew();
  };
  useEffect(() => {
    if (!listOpen) return;
    const narrow = matchMedia(NARROW);
    narrow.addEventListener("change", close);
    return () => narrow.removeEventListener("change", close);
  }, [listOpen, close]);
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (isShortcut(event, "k")) {
        event.preventDefault();
        openList(search.current);
      } else if (isShortcut(event, "o", { shift: true })) {
        event.preventDefault();
        startNew();
        navigate("/new");
      }
    };
    window.addEventListener("keydown", onKeyDown);
    return () => window.removeEventListener("keydown", onKeyDown);
  }, [openList, startNew, navigate]);
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
      {/* biome-ignore lint/a11y/noStaticElementInteractions: the ground beside an open list closes it; Escape leaves it */}
      <div
        className="list-layer"
        onClick={(event) => event.target === event.currentTarget && close()}
        onKeyDown={(event) => {
          if (keyOf(event) !== "Escape" || event.defaultPrevented) return;
          event.preventDefault(); // it leaves the list: nothing else is to end
          if (listOpen) close();
          else focusChat();
        }}
        data-open={listOpen}
      >
        <Sidebar ref={list} open={listOpen} search={search} onClose={close} onNew={onNew} />
      </div>
      <main id="chat" tabIndex={-1} inert={listOpen}>
        <header>
          <button
            ref={opener}
            type="button"
            className="quiet narrow-only"
            aria-label={strings.openSidebar}
            aria-expanded={listOpen}
            onClick={() => openList(list.current)}
          >
            <Icon name="menu" />
          </button>
          <h1 className={isNew || !title ? "hidden" : undefined} dir="auto">
            {title || strings.app}
          </h1>
          {isNew ? <Pickers /> : <Chosen home={home} />}
          <Link className="quiet narrow-only" to="/new" aria-label={strings.newChat} onClick={onNew}>
            <Icon name="plus" />
          </Link>
        </header>
        <ErrorBoundary key={pathname}>
          <Routes />
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
  const id = useRoute<{ id: string }>("/chat/:id")[1]?.id;
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
