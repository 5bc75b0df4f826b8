// Who is signed in, and in which workspace; nothing where nobody signs in.

import { useState } from "react";
import { useLocation } from "wouter";
import { useStore } from "zustand";
import { strings } from "../strings";
import { useClient } from "./context";

export function Account() {
  const client = useClient();
  const [, navigate] = useLocation();
  const { state, name, workspaces } = useStore(client.auth.store);
  const current = useStore(client.workspace, (workspace) => workspace.current);
  if (state !== "signedIn") return null;
  const choose = (id: string) => {
    client.switchWorkspace(id === workspaces[0] ? null : id);
    navigate("/new");
  };
  return (
    <div className="account">
      {workspaces.length > 1 && (
        <select
          aria-label={strings.workspace}
          value={current ?? workspaces[0]}
          onChange={(event) => choose(event.target.value)}
        >
          {workspaces.map((id, index) => (
            <option key={id} value={id}>
              {index === 0 ? strings.personal : id}
            </option>
          ))}
        </select>
      )}
      <span className="name" dir="auto">
        {name}
      </span>
      <SignOut />
    </div>
  );
}

/** Says before it is pressed what would be lost. */
function SignOut() {
  const client = useClient();
  const [, navigate] = useLocation();
  // What the server has not got changes with these two.
  useStore(client.turns.running);
  useStore(client.saving);
  const unsaved = client.unsaved();
  const [leaving, setLeaving] = useState(false);
  const signOut = async () => {
    setLeaving(true);
    navigate("/new", { replace: true }); // the address names a chat of this person
    await client.signOut();
  };
  return (
    <>
      {unsaved > 0 && (
        <p id="unsaved" className="note" role="status">
          {strings.unsaved(unsaved)}
        </p>
      )}
      <button
        type="button"
        className="link"
        disabled={leaving}
        aria-describedby={unsaved > 0 ? "unsaved" : undefined}
        onClick={() => void signOut()}
      >
        {strings.signOut}
      </button>
    </>
  );
}
