// The page before the page, where the server asks who is there.

import { useEffect } from "react";
import { useStore } from "zustand";
import { strings } from "../strings";
import { useClient } from "./context";

export function SignIn() {
  const client = useClient();
  const { failed, issuerStays, kept } = useStore(client.auth.store);
  useEffect(() => {
    document.title = strings.app; // it was the title of a chat
  }, []);
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
        {issuerStays && <p role="status">{strings.issuerStays}</p>}
        <button type="button" className="primary" onClick={() => void client.auth.signIn()}>
          {strings.signIn}
        </button>
        {kept && (
          <p>
            {strings.kept}{" "}
            <button type="button" className="link" onClick={() => void client.auth.forget()}>
              {strings.forget}
            </button>
          </p>
        )}
      </div>
    </main>
  );
}
