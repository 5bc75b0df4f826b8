// Editing a message that was sent: the new text becomes a version beside the old.

import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import { strings } from "../strings";
import { useClient } from "./context";
import { fitHeight } from "./fit";
import { keyOf, sends, usesTouch } from "./keys";
import { placeOfEdit, trimmed } from "./written";

interface Props {
  id: string;
  text: string;
  ready: boolean;
  onSave: (text: string) => boolean;
  onClose: () => void;
}

export function MessageEditor({ id, text, ready, onSave, onClose }: Props) {
  const { written } = useClient();
  const place = placeOfEdit(id);
  const [draft, setDraft] = useState(() => written.get(place) || text);
  const box = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    const area = box.current;
    area?.focus();
    area?.setSelectionRange(area.value.length, area.value.length);
  }, []);
  useEffect(() => fitHeight(box.current, draft), [draft]);
  useEffect(() => written.set(place, draft === text ? "" : draft), [written, place, draft, text]);
  const close = () => {
    written.set(place, "");
    onClose();
  };
  const save = () => {
    if (onSave(trimmed(draft))) close();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (sends(event)) {
      event.preventDefault();
      save();
    } else if (keyOf(event) === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      close();
    }
  };
  return (
    <div className="editor">
      <textarea
        ref={box}
        value={draft}
        aria-label={strings.editLabel}
        dir="auto"
        rows={1}
        enterKeyHint={usesTouch() ? "enter" : "send"}
        onChange={(event) => setDraft(event.target.value)}
        onKeyDown={onKeyDown}
      />
      <div className="editor-actions">
        {!ready && (
          <p className="note" role="status">
            {strings.waitToSend}
          </p>
        )}
        <button type="button" className="plain" onClick={close}>
          {strings.cancel}
        </button>
        <button type="button" className="primary" disabled={!ready || !draft.trim()} onClick={save}>
          {strings.saveEdit}
        </button>
      </div>
    </div>
  );
}
