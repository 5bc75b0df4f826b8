// The list of conversations: pages, newest first, kept for the next visit, and changed here before the server has answered.

import { createStore } from "zustand/vanilla";
import type { Api } from "./api";
import { Countdown } from "./countdown";
import { KINDS } from "./kinds";
import type { Others } from "./others";
import { nextAttempt } from "./pause";
import { ApiError } from "./problems";
import type { Records } from "./storage";
import type { Summary } from "./types";

export interface ListState {
  items: Summary[];
  cursor: string | null;
  state: "idle" | "loading" | "ready" | "failed";
  /** Hidden, not deleted yet: the time in which a deletion can be undone. */
  removing: Summary | null;
  /** The last one that could not be deleted. */
  kept: Summary | null;
}

export const UNDO_MS = 6_000;
const KEPT = 60;
const SETTLED_MS = 60_000;
const REMOVE_TRIES = 6; // some ten seconds: a server that restarts is back by then

const LOOKED_MS = 3_000; // a list looked at so shortly ago is not asked for again only because its page got the focus
const REMOVE_LONG_TRIES = 60; // some minutes, for a chat that is gone for every reader while its messages still go

export type Conversations = ReturnType<typeof createConversations>;

export function createConversations(
  api: Api,
  records: Records,
  workspace: () => string | null,
  onRemoved: (id: string) => void,
  onKept: (id: string) => void,
  over?: AbortSignal,
  others?: Others,
) {
  const cache = () => records.slot(KINDS.list, "", workspace());
  const store = createStore<ListState>()(() => ({
    items: cache().get() ?? [],
    cursor: null,
    state: "idle",
    removing: null,
    kept: null,
  }));
  let undoTime: Countdown | null = null;
  const removals = new Set<Promise<void>>();
  let loading: Promise<void> | null = null;
  let lookedAt = Number.NEGATIVE_INFINITY;
  const gone = new Set<string>();
  const touched = new Map<string, number>();

  const setItems = (items: Summary[], rest: Partial<ListState> = {}) => {
    store.setState({ items, ...rest });
    cache().set(items.slice(0, KEPT));
  };
  /** Whether it was active here a moment ago: its place in the list may not be written at the server yet. */
  const isRecent = ({ id }: Summary) => Date.now() - (touched.get(id) ?? 0) < SETTLED_MS;
  const without = (id: string) => store.getState().items.filter((item) => item.id !== id);

  const retitle = (id: string, title: string) =>
    setItems(store.getState().items.map((item) => (item.id === id ? { ...item, title } : item)));

  function load(cursor: string | null): Promise<void> {
    loading ??= fetchPage(cursor).finally(() => {
      loading = null;
    });
    return loading;
  }

  async function fetchPage(cursor: string | null, isQuiet = false): Promise<void> {
    const asked = workspace();
    if (!isQuiet) store.setState({ state: "loading" });
    lookedAt = Date.now();
    try {
      const page = await api.list(asked, cursor);
      if (asked !== workspace()) return fetchPage(null);
      const fresh = page.items.filter((item) => !gone.has(item.id));
      const known = new Set(fresh.map((item) => item.id));
      const { items, cursor: further } = store.getState();
      const isKnown = store.getState().state === "ready";
      // What was loaded below the first page stays there; what should be on it and is not has been deleted.
      const end = page.cursor && isKnown ? (page.items.at(-1)?.updatedAt ?? "") : "";
      const before = cursor ? items : items.filter((item) => isRecent(item) || item.updatedAt < end);
      const kept = before.filter((item) => !known.has(item.id));
      const isLower = (item: Summary) => cursor === null && item.updatedAt < end && !isRecent(item);
      const all = [...kept.filter((item) => !isLower(item)), ...fresh, ...kept.filter(isLower)];
      const next = cursor === null && kept.some(isLower) ? further : (page.cursor ?? null);
      setItems(all, { cursor: next, state: "ready" });
    } catch {
      if (asked !== workspace()) return fetchPage(null);
      if (!isQuiet) store.setState({ state: "failed" });
    }
  }

  /** Asks again for what may have changed elsewhere. What is shown stays shown, also when nothing answers. */
  function look(): Promise<void> {
    if (store.getState().state !== "ready") return load(null);
    if (Date.now() - lookedAt < LOOKED_MS) return Promise.resolve();
    loading ??= fetchPage(null, true).finally(() => {
      loading = null;
    });
    return loading;
  }

  async function remove(summary: Summary, keepalive = false): Promise<void> {
    const asked = workspace();
    let reached = false;
    let tries = REMOVE_TRIES;
    for (let attempt = 0; attempt < tries; attempt = await nextAttempt(attempt, reached)) {
      try {
        await api.remove(summary.id, keepalive);
        return;
      } catch (error) {
        if (over?.aborted || (error instanceof ApiError && error.status === 404)) return;
        reached = error instanceof ApiError;
        if (error instanceof ApiError && !error.retryable) break;
        // A long conversation goes in parts: nobody sees it any more, and each request takes more of it away.
        if (attempt === REMOVE_TRIES - 1 && tries === REMOVE_TRIES && (await isGone(summary.id)))
          tries = REMOVE_LONG_TRIES;
      }
    }
    if (tries === REMOVE_LONG_TRIES) return;
    if (asked === workspace()) putBack(summary);
    else gone.delete(summary.id);
    store.setState({ kept: summary });
    onKept(summary.id);
  }

  async function isGone(id: string): Promise<boolean> {
    const error = await api.newest(id).catch((one: unknown) => one);
    return error instanceof ApiError && error.status === 404;
  }

  /** The chat is not deleted: it is in the list again, where it was. */
  function putBack(summary: Summary): void {
    gone.delete(summary.id);
    put(summary);
    others?.tell({ workspace: workspace(), back: summary });
  }

  function put(summary: Summary): void {
    const items = [...without(summary.id), summary];
    setItems(items.sort((one, other) => other.updatedAt.localeCompare(one.updatedAt)));
  }

  /** Ends the time for an undo: the deletion goes out now. */
  function settle(keepalive = false): void {
    const { removing } = store.getState();
    undoTime?.cancel();
    if (!removing) return;
    store.setState({ removing: null });
    onRemoved(removing.id);
    others?.tell({ workspace: workspace(), removed: removing.id });
    const removal = remove(removing, keepalive);
    removals.add(removal);
    void removal.finally(() => removals.delete(removal));
  }

  function undo(): void {
    const { removing } = store.getState();
    undoTime?.cancel();
    if (!removing) return;
    store.setState({ removing: null });
    putBack(removing);
  }

  others?.listen((change) => {
    if (change.workspace !== workspace()) return;
    const { touched: summary, renamed, hidden, removed, back } = change;
    if (summary && !gone.has(summary.id)) {
      touched.set(summary.id, Date.now());
      setItems([summary, ...without(summary.id)]);
    }
    if (renamed) retitle(renamed.id, renamed.title);
    if (hidden) setItems(without(hidden));
    if (removed) {
      gone.add(removed);
      setItems(without(removed));
      onRemoved(removed);
    }
    if (back) {
      gone.delete(back.id);
      put(back);
    }
  });

  return {
    store,
    settle,
    /** Deletes what is to be deleted, and resolves when that is done. */
    settled: async (): Promise<void> => {
      settle(true);
      await Promise.all(removals);
    },
    /** Whoever this list was for is gone: what waits for an undo is not deleted. */
    end: () => undoTime?.cancel(),
    refresh: () => load(null),
    look,
    /** Once per visit, when the list is first looked at. */
    ensure: () => (store.getState().state === "idle" ? load(null) : Promise.resolve()),
    more: () => {
      const { cursor, state } = store.getState();
      return cursor && state !== "loading" ? load(cursor) : Promise.resolve();
    },
    /** Another workspace: begin anew with what is remembered of it. */
    reset: () => {
      store.setState({ items: cache().get() ?? [], cursor: null, state: "idle" });
    },
    /** Puts a conversation on top, as its latest activity would; one that is being deleted is not brought back by it. */
    touch: (summary: Summary) => {
      if (gone.has(summary.id)) return;
      touched.set(summary.id, Date.now());
      setItems([summary, ...without(summary.id)]);
      others?.tell({ workspace: workspace(), touched: summary });
    },
    rename: async (id: string, title: string) => {
      const before = store.getState().items.find((item) => item.id === id)?.title;
      retitle(id, title);
      try {
        await api.rename(id, title);
        others?.tell({ workspace: workspace(), renamed: { id, title } });
      } catch (error) {
        if (before !== undefined) retitle(id, before);
        throw error;
      }
    },
    hide: (id: string) => {
      settle();
      const removing = store.getState().items.find((item) => item.id === id);
      if (!removing) return;
      gone.add(id);
      setItems(without(id), { removing });
      others?.tell({ workspace: workspace(), hidden: id });
      undoTime = new Countdown(UNDO_MS, settle);
    },
    undo,
    /** Whether the time for an undo stands still. */
    hold: (held: boolean) => undoTime?.hold(held),
    /** Whoever writes to a chat while its deletion can be undone wants it back. */
    keep: (id: string) => {
      if (store.getState().removing?.id === id) undo();
    },
  };
}
