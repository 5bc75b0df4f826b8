// Where a message is written. What is written is kept, per chat, until it is sent.

import { type FormEvent, type KeyboardEvent, type Ref, useEffect, useImperativeHandle, useRef, useState } from "react";
import { strings } from "../strings";
import { fitHeight } from "./fit";
import { Icon } from "./icons";

export interface ComposerHandle {
  focus: () => void;
}

interface Props {
  chat: string;
  streaming: boolean;
  stopping: boolean;
  ready: boolean;
  ref: Ref<ComposerHandle>;
  onSend: (text: string) => boolean;
  onStop: () => void;
  onEditLast: () => void;
}

const kept = {
  get: (chat: string) => sessionStorage.getItem(`chat.text.${chat}`) ?? "",
  set: (chat: string, text: string) => {
    try {
      if (text) sessionStorage.setItem(`chat.text.${chat}`, text);
      else sessionStorage.removeItem(`chat.text.${chat}`);
    } catch {
      // Too long to be kept for a reload; it stays in the box.
    }
  },
};

export function Composer({ chat, streaming, stopping, ready, ref, onSend, onStop, onEditLast }: Props) {
  const [text, setText] = useState(() => kept.get(chat));
  const box = useRef<HTMLTextAreaElement>(null);
  useImperativeHandle(ref, () => ({ focus: () => box.current?.focus() }), []);
  useEffect(() => fitHeight(box.current, text), [text]);
  useEffect(() => {
    // On a touch screen focus brings the keyboard up, over half of what there is to read.
    if (matchMedia("(pointer: fine)").matches) box.current?.focus({ preventScroll: true });
  }, []);
  const change = (next: string) => {
    setText(next);
    kept.set(chat, next);
  };
  const send = () => {
    if (ready && text.trim() && onSend(text.trim())) change("");
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.nativeEvent.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      send();
    } else if (event.key === "ArrowUp" && !text) {
      event.preventDefault();
      onEditLast();
    }
  };
  const onSubmit = (event: FormEvent) => {
    event.preventDefault();
    send();
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
        enterKeyHint="send"
        onChange={(event) => change(event.target.value)}
        onKeyDown={onKeyDown}
      />
      <span id="hint" className="hidden">
        {strings.hint}
      </span>
      {streaming ? (
        <button
          type="button"
          className="round"
          aria-label={stopping ? strings.stopping : strings.stop}
          disabled={stopping}
          onClick={onStop}
        >
          <Icon name="stop" />
        </button>
      ) : (
        <button type="submit" className="round" aria-label={strings.send} disabled={!ready || !text.trim()}>
          <Icon name="up" />
        </button>
      )}
    </form>
  );
}
