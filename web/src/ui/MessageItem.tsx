// One message: what it says, and what can be done with it.

import { memo, type ReactNode } from "react";
import { flushSync } from "react-dom";
import { useStore } from "zustand";
import { messageOf } from "../core/tree";
import type { Home } from "../core/turns";
import type { Status } from "../core/types";
import { strings } from "../strings";
import { AnswerText, Reasoning } from "./Answer";
import { CopyButton } from "./CopyButton";
import { useClient } from "./context";
import { ErrorBoundary } from "./ErrorBoundary";
import { useBusy, useMessage, useVersions } from "./feed";
import { passesFocus } from "./focus";
import { Icon } from "./icons";
import { MessageEditor } from "./MessageEditor";

interface Props {
  home: Home;
  id: string;
  isEdited: boolean;
  onEdit: (id: string | null) => void;
}

export const MessageItem = memo(function MessageItem(props: Props) {
  const { home, id } = props;
  const role = useMessage(home, id, (message) => message?.role);
  if (role === undefined || role === "system") return null;
  return (
    <li className={`message ${role}`} data-message={id}>
      <span className="hidden">{role === "user" ? strings.you : strings.assistant}</span>
      <ErrorBoundary fallback={<BrokenMessage home={home} id={id} />}>
        {role === "user" ? <Question {...props} /> : <Answer {...props} />}
      </ErrorBoundary>
    </li>
  );
});

function Question({ home, id, isEdited, onEdit }: Props) {
  const client = useClient();
  const content = useMessage(home, id, (message) => message?.content ?? "");
  const busy = useBusy(home);
  const saving = useStore(client.saving, (saving) => saving[home.id] ?? false);
  if (isEdited) {
    const save = (text: string) => client.edit(home.id, id, text);
    return <MessageEditor id={id} text={content} ready={!busy && !saving} onSave={save} onClose={() => onEdit(null)} />;
  }
  return (
    <>
      <p className="bubble" dir="auto">
        {content}
      </p>
      <Actions home={home} id={id}>
        <CopyButton text={() => content} label={strings.copy} />
        {!busy && (
          <button
            type="button"
            className="quiet"
            aria-label={strings.edit}
            title={strings.edit}
            onClick={() => onEdit(id)}
          >
            <Icon name="edit" />
          </button>
        )}
      </Actions>
    </>
  );
}

function Answer({ home, id }: Props) {
  const client = useClient();
  const status = useMessage(home, id, (message) => message?.status);
  const waiting = useMessage(
    home,
    id,
    (message) => message?.status === "streaming" && !message.content && !message.reasoning,
  );
  const isEmpty = useMessage(home, id, (message) => !message?.content);
  const hasParent = useMessage(home, id, (message) => message?.parentId != null);
  const busy = useBusy(home);
  const text = () => messageOf(home.chats.getState().conversations[home.id]?.messages ?? [], id)?.content ?? "";
  return (
    <>
      <Reasoning home={home} id={id} />
      {waiting && <Waiting />}
      <AnswerText home={home} id={id} />
      <Outcome home={home} id={id} />
      {status === "streaming" && <div className="actions" />}
      {status !== "streaming" && hasParent && (
        <Actions home={home} id={id}>
          {!isEmpty && <CopyButton text={text} label={strings.copy} />}
          {!busy && !hasFailed(status) && (
            <button
              ref={passesFocus}
              type="button"
              className="quiet"
              aria-label={strings.regenerate}
              title={strings.regenerate}
              onClick={() => client.again(home.id, id)}
            >
              <Icon name="again" />
            </button>
          )}
        </Actions>
      )}
    </>
  );
}

function Waiting() {
  return (
    <p className="waiting">
      <span className="hidden">{strings.thinking}</span>
      <i />
      <i />
      <i />
    </p>
  );
}

const hasFailed = (status: Status | undefined): boolean => status === "failed" || status === "interrupted";

/** How the answer ended, when it did not simply end, and the way on. */
function Outcome({ home, id }: { home: Home; id: string }) {
  const client = useClient();
  const status = useMessage(home, id, (message) => message?.status);
  const error = useMessage(home, id, (message) => message?.error);
  const busy = useBusy(home);
  if (status === "stopped") return <p className="note">{strings.stopped}</p>;
  if (status === "truncated") return <p className="note">{strings.truncated}</p>;
  if (!hasFailed(status)) return null;
  const code = error?.code ?? "interrupted";
  const what = strings.errors[code] ?? (error?.message || strings.errors.internal);
  const said = error?.retryAt ? `${what} ${whenAgain(error.retryAt)}`.trim() : what;
  return (
    <div className="failure">
      <Icon name="alert" />
      <p>{said}</p>
      {!busy && (error?.retryable !== false || code === "model_refused") && (
        <button ref={passesFocus} type="button" className="plain" onClick={() => client.again(home.id, id)}>
          {strings.retry}
        </button>
      )}
    </div>
  );
}

function whenAgain(time: string): string {
  const at = new Date(time);
  if (at.getTime() < Date.now()) return "";
  return strings.retryAt(at.toLocaleString([], { dateStyle: "medium", timeStyle: "short" }));
}

function Actions({ home, id, children }: { home: Home; id: string; children: ReactNode }) {
  return (
    <div className="actions">
      <Versions home={home} id={id} />
      {children}
    </div>
  );
}

function Versions({ home, id }: { home: Home; id: string }) {
  const client = useClient();
  const versions = useVersions(home, id);
  if (versions.length < 2) return null;
  const index = versions.indexOf(id);
  const step = async (by: number, label: string) => {
    const next = versions[index + by];
    if (!next) return;
    try {
      await client.showVersion(home, next, id);
    } catch {
      client.say(strings.versionFailed);
      return;
    }
    flushSync(() => {}); // shown before it is focused
    // The other version is a row of its own, and the focus goes on to the same button there.
    document.querySelector<HTMLElement>(`[data-message="${next}"] [aria-label="${label}"]`)?.focus();
  };
  return (
    <span className="versions">
      <button
        type="button"
        className="quiet"
        aria-label={strings.previousVersion}
        aria-disabled={index === 0}
        onClick={() => void step(-1, strings.previousVersion)}
      >
        <Icon name="left" />
      </button>
      <span>{strings.version(index + 1, versions.length)}</span>
      <button
        type="button"
        className="quiet"
        aria-label={strings.nextVersion}
        aria-disabled={index === versions.length - 1}
        onClick={() => void step(1, strings.nextVersion)}
      >
        <Icon name="right" />
      </button>
    </span>
  );
}

function BrokenMessage({ home, id }: { home: Home; id: string }) {
  const text = useMessage(home, id, (message) => message?.content ?? "");
  return (
    <div className="failure">
      <Icon name="alert" />
      <p>{strings.brokenMessage}</p>
      <details>
        <summary>{strings.showText}</summary>
        <p className="verbatim" dir="auto">
          {text}
        </p>
      </details>
    </div>
  );
}
