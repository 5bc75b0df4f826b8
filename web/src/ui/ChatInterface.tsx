// A chat: its messages and the box to write in. The same for a new chat and for a stored one; `home` says whose state it shows.

import { useCallback, useEffect, useRef, useState } from "react";
import { useStore } from "zustand";
import { visibleBranch } from "../core/tree";
import type { Home, Running } from "../core/turns";
import { strings } from "../strings";
import { Announcer } from "./Announcer";
import { Composer } from "./Composer";
import { useChat, useClient } from "./context";
import { Earlier } from "./Earlier";
import { useBranch, useTop } from "./feed";
import { focusChat } from "./focus";
import { Icon } from "./icons";
import { keyOf } from "./keys";
import { MessageItem } from "./MessageItem";
import { useKeepPlace, useStickToEnd } from "./useStickToEnd";
import { placeOfEdit } from "./written";

export function ChatInterface({ home }: { home: Home }) {
  const client = useClient();
  const ids = useBranch(home);
  const top = useTop(home);
  const streamingId = useChat(home, (chat) => (chat?.isStreaming ? chat.streamingMessageId : undefined));
  const phase = useStore(client.turns.running, (running) => (streamingId ? running[streamingId]?.phase : undefined));
  const saving = useStore(client.saving, (saving) => saving[home.id] ?? false);
  const [edited, setEdited] = useState(() => ids.find((id) => client.written.get(placeOfEdit(id))) ?? null);
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLOListElement>(null);
  const { away, toEnd, letGo } = useStickToEnd(scroller, content);
  useKeepPlace(scroller, ids);
  const streaming = streamingId !== undefined;

  const stop = useCallback(() => {
    if (streamingId) void client.stop(streamingId);
  }, [client, streamingId]);
  useEscape(streaming, stop);

  // What is asked from here is followed, wherever the reader was: a message, an edit, another answer.
  useEffect(() => {
    if (!streamingId) return;
    const frame = requestAnimationFrame(toEnd);
    return () => cancelAnimationFrame(frame);
  }, [streamingId, toEnd]);

  const editLast = () => {
    const chat = home.chats.getState().conversations[home.id];
    const last = chat && visibleBranch(chat).findLast((message) => message.role === "user");
    if (last && !streaming) onEdit(last.id);
  };
  const onEdit = useCallback(
    (id: string | null) => {
      setEdited(id);
      if (id === null) focusChat();
      else letGo();
    },
    [letGo],
  );
  const isNew = useChat(home, (chat) => !chat?.messages.some((message) => message.role === "user"));
  return (
    <div className={isNew ? "chat new" : "chat"}>
      <div className="scroller" ref={scroller}>
        {isNew && <img className="mark" src="/icon.svg" alt="" width="44" height="44" />}
        <ol className="messages" ref={content}>
          {ids[0] !== undefined && <Earlier key={ids[0]} home={home} scroller={scroller} />}
          <Group home={home} ids={ids} top={top} size={GROUPS} edited={edited} onEdit={onEdit} />
        </ol>
      </div>
      <div className="foot">
        {away && (
          <button type="button" className="to-end" aria-label={strings.latest} onClick={toEnd}>
            <Icon name="down" />
          </button>
        )}
        <StatusLine phase={saving ? "saving" : phase} />
        <Composer
          place={isNew && home.chats !== client.chats ? "new" : home.id}
          streaming={streaming}
          stopping={phase === "stopping"}
          ready={!streaming && !saving}
          onSend={(text) => client.send(home.id, text)}
          onStop={stop}
          onEditLast={editLast}
        />
      </div>
      <Announcer home={home} id={ids.at(-1) ?? ""} />
    </div>
  );
}

const GROUP = 8;
const GROUPS = GROUP ** 3;

interface GroupProps {
  home: Home;
  ids: string[];
  /** The depth in the tree of the first of them. */
  top: number;
  size: number;
  edited: string | null;
  onEdit: (id: string | null) => void;
}

/**
 * Messages in groups of groups, with nothing around any of them in the page. React visits all children of whatever lies above a
 * change, so no part of the way to a word may have many. A message keeps its groups, for they go by depth, also when others come in
 * above it.
 */
function Group({ home, ids, top, size, edited, onEdit }: GroupProps) {
  if (size < GROUP)
    return ids.map((id) => <MessageItem key={id} home={home} id={id} isEdited={edited === id} onEdit={onEdit} />);
  const groups = [];
  for (let start = 0; start < ids.length; ) {
    const name = Math.floor((top + start) / size);
    const end = (name + 1) * size - top;
    const of = { home, ids: ids.slice(start, end), top: top + start, size: size / GROUP, edited, onEdit };
    groups.push(<Group key={name} {...of} />);
    start = end;
  }
  return groups;
}

function StatusLine({ phase }: { phase: Running["phase"] | undefined }) {
  const client = useClient();
  const isCut = useStore(client.reach, (state) => state.isCut);
  const text = isCut ? strings.phases.offline : phase ? strings.phases[phase] : "";
  return (
    <p className="status" role="status">
      {text}
    </p>
  );
}

function useEscape(active: boolean, act: () => void): void {
  useEffect(() => {
    if (!active) return;
    const onKeyDown = (event: globalThis.KeyboardEvent) => {
      if (keyOf(event) === "Escape" && !event.defaultPrevented) act();
    };
    window.addEventListener("keydown", onKeyDown);
    return () => window.removeEventListener("keydown", onKeyDown);
  }, [active, act]);
}
