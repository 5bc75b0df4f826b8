// What the client knows: messages, conversations, assistants; as docs/api.md has them, plus what is only true here.

export type Role = "system" | "user" | "assistant";

/** `streaming` is under way; the others are ends. */
export type Status = "complete" | "streaming" | "stopped" | "truncated" | "failed" | "interrupted";

export interface Usage {
  inputTokens: number;
  outputTokens: number;
  totalTokens: number;
}

/** `retryAt` is when the server will take it again, where it says so. */
export interface TurnError {
  code: string;
  message: string;
  retryable: boolean;
  retryAt?: string;
}

/** `unsaved` marks what the server is not known to have: the next turn of its branch takes it along. */
export interface Message {
  id: string;
  parentId: string | null;
  role: Role;
  content: string;
  status: Status;
  createdAt: string;
  orderKey?: string;
  reasoning?: string;
  usage?: Usage;
  finishReason?: string;
  error?: TurnError;
  unsaved?: true;
  /** The ids of all versions of it, this one included, as the server has them; not all of them need be here. */
  siblings?: readonly string[];
}

/** `chosen` names, for a message with several replies (or "" for the roots), the one that is shown. */
export interface ConversationMeta {
  title: string;
  workspaceId: string | null;
  budId: string;
  model: string | null;
  createdAt: string;
  updatedAt: string;
  chosen?: Readonly<Record<string, string>>;
}

/** `older` is there when the branch on screen does not reach its root: it hangs from the message `above`; `cursor` leads there. */
export interface Conversation {
  id: string;
  messages: Message[];
  isStreaming: boolean;
  streamingMessageId?: string;
  older?: { above: string; cursor?: string };
  meta: ConversationMeta;
}

export interface Summary {
  id: string;
  title: string;
  budId: string;
  model: string;
  createdAt: string;
  updatedAt: string;
}

export interface Bud {
  id: string;
  name: string;
  description: string;
  greeting: string;
  models: string[];
  avatar: string;
}

export interface AuthConfig {
  issuer: string;
  clientId: string;
  scopes: string[];
  /** The page that ends the session at the issuer, where OpenID Connect's own way does not: Cognito's. */
  logout?: { url: string; clientIdParam: string; returnToParam: string } | null;
}

/** The body of POST /api/chat and POST /api/chat/{id}. */
export interface ChatBody {
  turnId: string;
  workspaceId?: string;
  budId: string;
  model?: string;
  messages: { id: string; role: Role; content: string; orderKey?: string }[];
  parentId: string | null;
}
