// The two routes. Each says whose state is shown and does what its place in the app asks for; the page around shows it.

import { useEffect } from "react";
import { Redirect, Route, Switch, useLocation } from "wouter";
import { useStore } from "zustand";
import { useClient } from "./context";

/** What the address asks for; any other address is /new. */
export function Routes() {
  return (
    <Switch>
      <Route path="/new">
        <NewRoute />
      </Route>
      <Route path="/chat/:id">{({ id }) => <ChatRoute id={id} />}</Route>
      <Route>
        <Redirect to="/new" replace />
      </Route>
    </Switch>
  );
}

/** /new: local state only. Passes over to /chat/{id} once the store holds what is on screen. */
function NewRoute() {
  const client = useClient();
  const [pathname, navigate] = useLocation();
  const moved = useStore(client.drafts.store, (state) => state.moved[state.current]);
  useEffect(() => {
    client.showNew(true);
    return () => client.showNew(false);
  }, [client]);
  // The router navigates in a transition, so this page may still be shown when its reader has gone elsewhere by a click. The
  // address is there at once: the reader's own way is not overruled.
  useEffect(() => {
    if (moved && window.location.pathname === pathname) navigate(`/chat/${moved}`, { replace: true });
  }, [moved, navigate, pathname]);
  return null;
}

/** /chat/{id}: from the store; fetched when it is not there, and looked after when its reader comes back to the tab. */
function ChatRoute({ id }: { id: string }) {
  const client = useClient();
  useEffect(() => {
    client.arrived(id);
    void client.open(id);
    void client.list.ensure();
    const look = () => {
      if (document.visibilityState === "visible") void client.refresh(id);
    };
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, [client, id]);
  return null;
}
