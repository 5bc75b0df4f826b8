// The page before the page, where the server asks who is there.

import { useStore } from "zustand";
import { strings } from "../strings";
import { useClient } from "./context";

export function SignIn() {
  const client = useClient();
  const failed = useStore(client.auth.store, (state) => state.failed);
  return (
    <main className="sign-in">
      <div>
        <img src="/icon.svg" alt="" width="56" height="56" />
        <h1>{strings.signInTitle}</h1>
        <p>{strings.signInText}</p>
        {failed && (
          <p className="error" role="alert">
            {strings.signInFailed}
          </p>
        )}
        <button type="button" className="primary" onClick={() => void client.auth.signIn()}>
          {strings.signIn}
        </button>
      </div>
    </main>
  );
}
