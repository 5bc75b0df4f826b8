// Editing a message that was sent: the new text becomes a version beside the old.

import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import { strings } from "../strings";
import { fitHeight } from "./fit";

interface Props {
  text: string;
  onSave: (text: string) => void;
  onCancel: () => void;
}

export function MessageEditor({ text, onSave, onCancel }: Props) {
  const [draft, setDraft] = useState(text);
  const box = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    const area = box.current;
    area?.focus();
    area?.setSelectionRange(area.value.length, area.value.length);
  }, []);
  useEffect(() => fitHeight(box.current, draft), [draft]);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.nativeEvent.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      onSave(draft);
    } else if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      onCancel();
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
        onChange={(event) => setDraft(event.target.value)}
        onKeyDown={onKeyDown}
      />
      <div className="editor-actions">
        <button type="button" className="plain" onClick={onCancel}>
          {strings.cancel}
        </button>
        <button type="button" className="primary" disabled={!draft.trim()} onClick={() => onSave(draft)}>
          {strings.saveEdit}
        </button>
      </div>
    </div>
  );
}
