// The kinds of records that the browser keeps for this page, each with its version and the shape that is read back.

import * as v from "valibot";
import type { OutboxEntry } from "./outbox";
import type { AuthConfig, Bud, ChatBody, Conversation, Message, Summary } from "./types";

/** A person: who they are at which issuer. Both parts are empty where nobody signs in. */
export interface Owner {
  issuer: string;
  user: string;
}

export const NOBODY: Owner = { issuer: "", user: "" };

export const isSame = (one: Owner, other: Owner) => one.issuer === other.issuer && one.user === other.user;

/**
 * `scope` says for whom a record is: `browser` for whoever uses it (nothing personal in it), `owner` for one person, `workspace`
 * for one person in one workspace. A `cache` can be loaded again: it goes first when there is no room. Another shape is another
 * `version`: what was written under a different one is dropped, unless `old` knows how to read it.
 */
export interface Kind<T> {
  name: string;
  area: "local" | "session" | "database";
  scope: "browser" | "owner" | "workspace";
  version: number;
  cache?: true;
  schema: v.GenericSchema<unknown, T>;
  /** Reads what a version without an envelope wrote: the user it was for, and the value to check against the schema. */
  old?: (raw: unknown) => { user: string; value: unknown } | null;
}

const kind = <T>(of: Kind<T>): Kind<T> => of;

/** An id is a name in paths and in objects: letters, digits, dashes. */
const id = v.pipe(v.string(), v.regex(/^[a-z\d][\w.-]{0,99}$/i));
/** A moment that can be shown: a date that is none makes `Intl` throw. */
const moment = v.pipe(
  v.string(),
  v.check((text) => Number.isFinite(Date.parse(text))),
);
/** A moment as milliseconds: beyond what a `Date` holds, `toISOString` throws. */
const instant = v.pipe(
  v.number(),
  v.check((ms) => Number.isFinite(new Date(ms).getTime())),
);
const orNull = <T>(schema: v.GenericSchema<unknown, T>) => v.nullable(schema);
const role = v.picklist(["system", "user", "assistant"]);

export const owner: v.GenericSchema<unknown, Owner> = v.object({ issuer: v.string(), user: v.string() });

const message: v.GenericSchema<unknown, Message> = v.object({
  id,
  parentId: orNull(id),
  role,
  content: v.string(),
  status: v.picklist(["complete", "streaming", "stopped", "truncated", "failed", "interrupted"]),
  createdAt: moment,
  orderKey: v.exactOptional(v.string()),
  reasoning: v.exactOptional(v.string()),
  usage: v.exactOptional(v.object({ inputTokens: v.number(), outputTokens: v.number(), totalTokens: v.number() })),
  finishReason: v.exactOptional(v.string()),
  error: v.exactOptional(
    v.object({ code: v.string(), message: v.string(), retryable: v.boolean(), retryAt: v.exactOptional(moment) }),
  ),
  unsaved: v.exactOptional(v.literal(true)),
});

const conversation: v.GenericSchema<unknown, Conversation> = v.object({
  id,
  messages: v.array(message),
  isStreaming: v.boolean(),
  streamingMessageId: v.exactOptional(id),
  meta: v.object({
    title: v.string(),
    workspaceId: orNull(v.string()),
    budId: v.string(),
    model: orNull(v.string()),
    createdAt: moment,
    updatedAt: moment,
    chosen: v.exactOptional(v.record(v.string(), v.string())),
  }),
});

export const summary: v.GenericSchema<unknown, Summary> = v.object({
  id,
  title: v.string(),
  budId: v.string(),
  model: v.string(),
  createdAt: moment,
  updatedAt: moment,
});

const bud: v.GenericSchema<unknown, Bud> = v.object({
  id: v.string(),
  name: v.string(),
  description: v.string(),
  greeting: v.string(),
  models: v.array(v.string()),
  avatar: v.string(),
});

const body: v.GenericSchema<unknown, ChatBody> = v.object({
  turnId: id,
  workspaceId: v.exactOptional(v.string()),
  budId: v.string(),
  model: v.exactOptional(v.string()),
  messages: v.array(v.object({ id, role, content: v.string(), orderKey: v.exactOptional(v.string()) })),
  parentId: orNull(id),
});

const authConfig: v.GenericSchema<unknown, AuthConfig> = v.object({
  issuer: v.pipe(v.string(), v.url()),
  clientId: v.string(),
  scopes: v.array(v.string()),
  logout: v.exactOptional(
    v.nullable(v.object({ url: v.pipe(v.string(), v.url()), clientIdParam: v.string(), returnToParam: v.string() })),
  ),
});

const outboxEntry: v.GenericSchema<unknown, OutboxEntry> = v.pipe(
  v.object({
    turnId: id,
    conversationId: orNull(id),
    draftId: orNull(id),
    body,
    messages: v.array(message),
    over: v.boolean(),
    at: instant,
  }),
  v.check((entry) => entry.turnId === entry.body.turnId),
);

/** Every kind there is. A test writes anything in the place of each; a new kind is tried with it. */
export const KINDS = {
  /** How to sign in here, as the server last said. */
  auth: kind({ name: "auth", area: "local", scope: "browser", version: 1, schema: authConfig }),
  /** Who uses this browser's tabs now. A tab that joined another session than this has been signed out. */
  person: kind({ name: "person", area: "local", scope: "browser", version: 1, schema: v.object({ id, owner }) }),
  /** The last sign-out could not reach the issuer: the next sign-in has to ask who is there. */
  askAgain: kind({ name: "ask-again", area: "local", scope: "browser", version: 1, schema: v.literal(true) }),
  /** What a sign-in under way must find when it comes back: the proof of its code flow. */
  signIn: kind({ name: "sign-in", area: "session", scope: "browser", version: 1, schema: v.string() }),
  /** This tab's tokens, as the sign-in library writes them under its `key`; whose, and of which session, they are. */
  tokens: kind({
    name: "tokens",
    area: "session",
    scope: "browser",
    version: 1,
    schema: v.object({ session: id, owner, key: v.string(), user: v.string() }),
  }),
  /** The assistants on offer, as last seen. */
  buds: kind({ name: "buds", area: "local", scope: "owner", version: 1, cache: true, schema: v.array(bud) }),
  /** The assistant and the model of the next new chat. */
  choice: kind({
    name: "choice",
    area: "local",
    scope: "owner",
    version: 1,
    schema: v.object({ bud: v.string(), model: orNull(v.string()) }),
  }),
  /** The workspace looked at last. */
  workspace: kind({ name: "workspace", area: "local", scope: "owner", version: 1, schema: v.string() }),
  /** The newest chats of a workspace, as last seen. */
  list: kind({ name: "list", area: "local", scope: "workspace", version: 1, cache: true, schema: v.array(summary) }),
  /** The chat on /new, and the turn that answers it. */
  newChat: kind({
    name: "new",
    area: "session",
    scope: "owner",
    version: 1,
    schema: v.object({ draft: conversation, turnId: orNull(id) }),
  }),
  /** Which branch of each chat was read last. */
  branches: kind({
    name: "branches",
    area: "local",
    scope: "owner",
    version: 1,
    schema: v.array(v.tuple([id, v.pipe(v.string(), v.regex(/^\d{6}:[a-f\d-]{36}$/))])),
  }),
  /** What is half written, by its place. */
  text: kind({ name: "text", area: "session", scope: "workspace", version: 1, schema: v.string() }),
  /** What was sent and is not known to be stored, by its turn. */
  outbox: kind({
    name: "turns",
    area: "database",
    scope: "workspace",
    version: 1,
    schema: outboxEntry,
    old: (raw) => {
      const read = v.safeParse(v.object({ owner: v.string() }), raw);
      return read.success ? { user: read.output.owner, value: raw } : null;
    },
  }),
} as const;
