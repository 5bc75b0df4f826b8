// Who is signed in, and in which workspace; nothing where nobody signs in.

import { useNavigate } from "react-router";
import { useStore } from "zustand";
import { strings } from "../strings";
import { useClient } from "./context";

export function Account() {
  const client = useClient();
  const navigate = useNavigate();
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
      <button type="button" className="link" onClick={() => void client.auth.signOut()}>
        {strings.signOut}
      </button>
    </div>
  );
}
