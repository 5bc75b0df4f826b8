// Where a message is written. What is written is kept for a reload, per chat, until it is sent.

import { type FormEvent, type KeyboardEvent, useEffect, useRef, useState } from "react";
import { strings } from "../strings";
import { useClient } from "./context";
import { fitHeight } from "./fit";
import { focusChat, passesFocus } from "./focus";
import { Icon } from "./icons";
import { keyOf, sends, usesTouch } from "./keys";
import { trimmed } from "./written";

/** `place` names the chat to the next visit: it changes when a new chat gets its name, and what is written goes along. */
interface Props {
  place: string;
  streaming: boolean;
  stopping: boolean;
  ready: boolean;
  onSend: (text: string) => boolean;
  onStop: () => void;
  onEditLast: () => void;
}

const DOUBLE_PRESS_MS = 500; // as long as systems take two presses for one

export function Composer({ place, streaming, stopping, ready, onSend, onStop, onEditLast }: Props) {
  const { written } = useClient();
  const [text, setText] = useState(() => written.get(place));
  const keptAt = useRef(place);
  const pressed = useRef({ act: "", at: Number.NEGATIVE_INFINITY });
  const box = useRef<HTMLTextAreaElement>(null);
  const touch = usesTouch();
  useEffect(() => fitHeight(box.current, text), [text]);
  useEffect(focusChat, []);
  useEffect(() => {
    if (keptAt.current !== place) written.set(keptAt.current, "");
    keptAt.current = place;
    written.set(place, text);
  }, [written, place, text]);
  const send = () => {
    if (ready && text.trim() && onSend(trimmed(text))) setText("");
  };
  // Send and Stop stand in one place: the second press of a double one on either is not meant for the other.
  const press = (act: "send" | "stop") => {
    const before = pressed.current;
    pressed.current = { act, at: performance.now() };
    if (before.act !== act && pressed.current.at - before.at <= DOUBLE_PRESS_MS) return;
    if (act === "send") send();
    else stop();
  };
  const stop = () => {
    onStop();
    focusChat();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (sends(event)) {
      event.preventDefault();
      send();
    } else if (keyOf(event) === "ArrowUp" && !text) {
      event.preventDefault();
      onEditLast();
    }
  };
  const onSubmit = (event: FormEvent) => {
    event.preventDefault();
    press("send");
  };
  return (
    <form className="composer" onSubmit={onSubmit}>
      <textarea
        id="message"
        ref={box}
        value={text}
        dir="auto"
        rows={1}
        placeholder={strings.placeholder}
        aria-label={strings.message}
        aria-describedby="hint"
        autoComplete="off"
        enterKeyHint={touch ? "enter" : "send"}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={onKeyDown}
      />
      <span id="hint" className="hidden">
        {touch ? strings.touchHint : strings.hint}
      </span>
      {/* Two nodes, not one that changes: a press that began on the one does nothing on the other. */}
      {streaming ? (
        <button
          key="stop"
          ref={passesFocus}
          type="button"
          className="round"
          aria-label={stopping ? strings.stopping : strings.stop}
          disabled={stopping}
          onClick={() => press("stop")}
        >
          <Icon name="stop" />
        </button>
      ) : (
        <button
          key="send"
          ref={passesFocus}
          type="submit"
          className="round"
          aria-label={strings.send}
          disabled={!ready || !text.trim()}
        >
          <Icon name="up" />
        </button>
      )}
    </form>
  );
}
