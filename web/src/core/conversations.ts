// The list of conversations: pages, newest first, kept for the next visit, and changed here before the server has answered.

import { createStore } from "zustand/vanilla";
import type { Api } from "./api";
import { Countdown } from "./countdown";
import { KINDS } from "./kinds";
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

export type Conversations = ReturnType<typeof createConversations>;

export function createConversations(
  api: Api,
  records: Records,
  workspace: () => string | null,
  onRemoved: (id: string) => void,
  onKept: (id: string) => void,
  over?: AbortSignal,
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
  const gone = new Set<string>();
  const touched = new Map<string, number>();

  const setItems = (items: Summary[], rest: Partial<ListState> = {}) => {
    store.setState({ items, ...rest });
    cache().set(items.slice(0, KEPT));
  };
  /** Whether it was active here a moment ago: its place in the list may not be written at the server yet. */
  const isRecent = ({ id }: Summary) => Date.now() - (touched.get(id) ?? 0) < SETTLED_MS;
  const without = (id: string) => store.getState().items.filter((item) => item.id !== id);

  function load(cursor: string | null): Promise<void> {
    loading ??= fetchPage(cursor).finally(() => {
      loading = null;
    });
    return loading;
  }

  async function fetchPage(cursor: string | null): Promise<void> {
    const asked = workspace();
    store.setState({ state: "loading" });
    try {
      const page = await api.list(asked, cursor);
      if (asked !== workspace()) return fetchPage(null);
      const fresh = page.items.filter((item) => !gone.has(item.id));
      const known = new Set(fresh.map((item) => item.id));
      const before = cursor ? store.getState().items : store.getState().items.filter(isRecent);
      const kept = before.filter((item) => !known.has(item.id));
      setItems([...kept, ...fresh], { cursor: page.cursor ?? null, state: "ready" });
    } catch {
      if (asked !== workspace()) return fetchPage(null);
      store.setState({ state: "failed" });
    }
  }

  async function remove(summary: Summary, keepalive = false): Promise<void> {
    const asked = workspace();
    let reached = false;
    for (let attempt = 0; attempt < REMOVE_TRIES; attempt = await nextAttempt(attempt, reached)) {
      try {
        await api.remove(summary.id, keepalive);
        return;
      } catch (error) {
        if (over?.aborted || (error instanceof ApiError && error.status === 404)) return;
        reached = error instanceof ApiError;
        if (error instanceof ApiError && !error.retryable) break;
      }
    }
    if (asked === workspace()) putBack(summary);
    else gone.delete(summary.id);
    store.setState({ kept: summary });
    onKept(summary.id);
  }

  /** The chat is not deleted: it is in the list again, where it was. */
  function putBack(summary: Summary): void {
    gone.delete(summary.id);
    const items = [...store.getState().items, summary];
    setItems(items.sort((one, other) => other.updatedAt.localeCompare(one.updatedAt)));
  }

  /** Ends the time for an undo: the deletion goes out now. */
  function settle(keepalive = false): void {
    const { removing } = store.getState();
    undoTime?.cancel();
    if (!removing) return;
    store.setState({ removing: null });
    onRemoved(removing.id);
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
    },
    rename: async (id: string, title: string) => {
      const call = (name: string) =>
        setItems(store.getState().items.map((item) => (item.id === id ? { ...item, title: name } : item)));
      const before = store.getState().items.find((item) => item.id === id)?.title;
      call(title);
      try {
        await api.rename(id, title);
      } catch (error) {
        if (before !== undefined) call(before);
        throw error;
      }
    },
    hide: (id: string) => {
      settle();
      const removing = store.getState().items.find((item) => item.id === id);
      if (!removing) return;
      gone.add(id);
      setItems(without(id), { removing });
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
