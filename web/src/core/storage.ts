// Everything that the browser stores for this page goes through here: localStorage, sessionStorage and IndexedDB. Each record says
// whose it is and in which version it was written. What does not fit is dropped as it is met; what the browser refuses to keep is
// kept in memory, so that nothing else has to care.

import * as v from "valibot";
import { DATABASE } from "./clear";
import { createDatabase, type Database } from "./database";
import { isSame, KINDS, type Kind, NOBODY, type Owner, owner as ownerSchema } from "./kinds";

const PREFIX = "chat.";
/** The sign-in library's own keys, which versions before this one let it write. */
const FOREIGN = "oidc.";
/** So long may a sign-in take at the issuer when only a cookie can remember it. */
const COOKIE_S = 900;

const envelope = v.object({
  v: v.number(),
  owner: ownerSchema,
  workspace: v.nullable(v.string()),
  at: v.number(),
  value: v.unknown(),
});
type Envelope = v.InferOutput<typeof envelope>;

/** One record. `set` returns whether a reload will find it; null removes it. */
export interface Slot<T> {
  get: () => T | null;
  set: (value: T | null) => boolean;
}

/** The records of one kind in the database, each under a key of its own. */
export interface Rows<T> {
  all: () => Promise<T[]>;
  put: (key: string, value: T, workspace: string | null) => Promise<void>;
  remove: (key: string) => Promise<void>;
}

/** What is kept for one person. Once closed it reads nothing and writes nothing: their session is over. */
export interface Records {
  owner: Owner;
  slot: <T>(kind: Kind<T>, key?: string, workspace?: string | null) => Slot<T>;
  rows: <T>(kind: Kind<T>) => Rows<T>;
  close: () => void;
}

export type Storage = ReturnType<typeof createStorage>;

export function createStorage(database: Database = createDatabase(DATABASE)) {
  const areas = { local: createArea(() => localStorage), session: createArea(() => sessionStorage) };

  function areaOf({ name, area }: Kind<unknown>): Area {
    if (area === "database") throw new Error(`${name} is kept in rows`);
    return areas[area];
  }

  function write(kind: Kind<unknown>, key: string, text: string): boolean {
    const area = areaOf(kind);
    if (area.set(key, text)) return true;
    for (const one of area.keys()) if (kindOf(one)?.cache) area.remove(one);
    return area.set(key, text);
  }

  function slotOf<T>(kind: Kind<T>, owner: Owner, key: string, workspace: string | null, open: () => boolean): Slot<T> {
    const at = keyOf(kind, key, workspace);
    return {
      get: () => {
        if (!open()) return null;
        const text = areaOf(kind).get(at);
        if (text === null) return null;
        const found = parse(text);
        const value = found ? valueIn(kind, found) : undefined;
        if (!found || value === undefined) areaOf(kind).remove(at);
        else if (isSame(found.owner, owner) && found.workspace === workspace) return value;
        return null;
      },
      set: (value) => {
        if (!open()) return false;
        if (value === null) {
          areaOf(kind).remove(at);
          return true;
        }
        const whole: Envelope = { v: kind.version, owner, workspace, at: Date.now(), value };
        return write(kind, at, JSON.stringify(whole));
      },
    };
  }

  const of = (owner: Owner): Records => {
    let isOpen = true;
    const open = () => isOpen;
    return {
      owner,
      slot: (kind, key = "", workspace = null) =>
        slotOf(kind, kind.scope === "browser" ? NOBODY : owner, key, workspace, open),
      rows: <T>(kind: Kind<T>) => ({
        all: async () => {
          const found: T[] = [];
          await database.each(kind.name, (raw, remove) => {
            const row = rowOf(kind, raw);
            const value = row ? valueIn(kind, row) : undefined;
            if (!row || value === undefined) remove();
            else if (isSame(row.owner, owner)) found.push(value);
          });
          return isOpen ? found : [];
        },
        put: async (key, value, workspace) => {
          const row: Envelope = { v: kind.version, owner, workspace, at: Date.now(), value };
          if (isOpen) await database.put(kind.name, { turnId: key, ...row });
        },
        remove: async (key) => {
          if (isOpen) await database.remove(kind.name, key);
        },
      }),
      close: () => {
        isOpen = false;
      },
    };
  };

  const config = slotOf(KINDS.auth, NOBODY, "", null, () => true);

  /** A row as it is now written, also when an earlier version wrote it. */
  function rowOf(kind: Kind<unknown>, raw: unknown): Envelope | null {
    const now = v.safeParse(envelope, raw);
    if (now.success) return now.output;
    const old = kind.old?.(raw);
    if (!old) return null;
    const issuer = old.user ? (config.get()?.issuer ?? "") : "";
    return { v: kind.version, owner: { issuer, user: old.user }, workspace: null, at: 0, value: old.value };
  }

  /** Removes every personal record that is not to stay; resolves once the database's are gone, too. */
  async function clear(stays: (owner: Owner, kind: Kind<unknown>) => boolean): Promise<void> {
    for (const area of Object.values(areas)) {
      for (const key of area.keys()) {
        if (key.startsWith(FOREIGN)) area.remove(key);
        if (!key.startsWith(PREFIX)) continue;
        const kind = kindOf(key);
        if (kind?.scope === "browser") continue;
        const found = kind && parse(area.get(key) ?? "");
        if (!found || !stays(found.owner, kind)) area.remove(key);
      }
    }
    for (const kind of Object.values(KINDS) as Kind<unknown>[]) {
      if (kind.area !== "database") continue;
      await database.each(kind.name, (raw, remove) => {
        const row = rowOf(kind, raw);
        if (!row || !stays(row.owner, kind)) remove();
      });
    }
  }

  return {
    of,
    clear,
    /** What is for whoever uses this browser. */
    shared: of(NOBODY),

    /** Whether the database holds anything of the person's. */
    holds: async (owner: Owner): Promise<boolean> => {
      let is = false;
      await database.each(KINDS.outbox.name, (raw) => {
        const row = rowOf(KINDS.outbox as Kind<unknown>, raw);
        if (row && isSame(row.owner, owner)) is = true;
      });
      return is;
    },

    /** Whether this tab sees what other tabs write. */
    isShared: areas.local.isThere,

    /** Calls back when another tab has written or removed the record, or everything. */
    onChange: (kind: Kind<unknown>, changed: () => void): void => {
      globalThis.addEventListener?.("storage", ({ key }) => {
        if (key === null || key === keyOf(kind, "", null)) changed();
      });
    },

    /** The proof of a sign-in under way has to outlast the way to the issuer and back: a cookie keeps it where nothing else does. */
    crossing: (key: string): Slot<string> => {
      const slot = slotOf(KINDS.signIn, NOBODY, key, null, () => true);
      const cookie = `${PREFIX}${key.replace(/[^\w.-]/g, "")}`;
      return {
        get: () => slot.get() ?? readCookie(cookie),
        set: (value) => {
          const isKept = slot.set(value);
          return isKept && value !== null ? true : writeCookie(cookie, value);
        },
      };
    },
    crossings: (): string[] => {
      const start = `${keyOf(KINDS.signIn, "", null)}.`;
      return areas.session.keys().flatMap((key) => (key.startsWith(start) ? key.slice(start.length) : []));
    },
  };
}

function keyOf({ name, scope }: Kind<unknown>, key: string, workspace: string | null): string {
  const parts = [name, ...(scope === "workspace" ? [workspace ?? ""] : []), ...(key ? [key] : [])];
  return PREFIX + parts.join(".");
}

function kindOf(key: string): Kind<unknown> | undefined {
  if (!key.startsWith(PREFIX)) return undefined;
  const name = key.slice(PREFIX.length).split(".")[0];
  return (Object.values(KINDS) as Kind<unknown>[]).find((kind) => kind.name === name && kind.area !== "database");
}

function parse(text: string): Envelope | null {
  try {
    const read = v.safeParse(envelope, JSON.parse(text));
    return read.success ? read.output : null;
  } catch {
    return null;
  }
}

function valueIn<T>(kind: Kind<T>, found: Envelope): T | undefined {
  if (found.v !== kind.version) return undefined;
  const read = v.safeParse(kind.schema, found.value);
  return read.success ? read.output : undefined;
}

interface Area {
  get: (key: string) => string | null;
  /** Whether the browser keeps it; in memory it is in any case. */
  set: (key: string, text: string) => boolean;
  remove: (key: string) => void;
  keys: () => string[];
  /** Whether the browser lets it be read. */
  isThere: () => boolean;
}

/** One of the browser's two string stores. It may refuse to be named, to be read, or to be written. */
function createArea(open: () => globalThis.Storage): Area {
  const memory = new Map<string, string>();
  function attempt<T>(act: (storage: globalThis.Storage) => T, otherwise: T): T {
    try {
      return act(open());
    } catch {
      return otherwise;
    }
  }
  const remove = (key: string) => {
    memory.delete(key);
    attempt((storage) => storage.removeItem(key), undefined);
  };
  return {
    isThere: () => attempt((storage) => storage.length >= 0, false),
    get: (key) => memory.get(key) ?? attempt((storage) => storage.getItem(key), null),
    set: (key, text) => {
      memory.delete(key);
      const isKept = attempt((storage) => {
        storage.setItem(key, text);
        return true;
      }, false);
      if (isKept) return true;
      remove(key); // an earlier value must not come back at the next visit
      memory.set(key, text);
      return false;
    },
    remove,
    keys: () => [
      ...memory.keys(),
      ...attempt((storage) => Array.from({ length: storage.length }, (_, at) => storage.key(at) ?? ""), []),
    ],
  };
}

/** Where a sign-in comes back to: the only path that its cookie is for. */
export const CALLBACK = "/signed-in";

function readCookie(name: string): string | null {
  try {
    const found = document.cookie.split("; ").find((one) => one.startsWith(`${name}=`));
    return found ? decodeURIComponent(found.slice(name.length + 1)) : null;
  } catch {
    return null;
  }
}

function writeCookie(name: string, value: string | null): boolean {
  try {
    const age = value === null ? 0 : COOKIE_S;
    const secure = location.protocol === "https:" ? "; secure" : "";
    // biome-ignore lint/suspicious/noDocumentCookie: its asynchronous successor is not in every browser
    document.cookie = `${name}=${encodeURIComponent(value ?? "")}; path=${CALLBACK}; samesite=lax; max-age=${age}${secure}`;
    return true;
  } catch {
    return false;
  }
}
