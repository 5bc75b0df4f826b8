// The two routes. Each says whose state is shown and does what its place in the app asks for; the page around shows it.

import { useEffect } from "react";
import { useLocation, useNavigate, useParams } from "react-router";
import { useStore } from "zustand";
import { useClient } from "./context";

/** /new: local state only. Passes over to /chat/{id} once the store holds what is on screen. */
export function NewRoute() {
  const client = useClient();
  const navigate = useNavigate();
  const { pathname } = useLocation();
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
export function ChatRoute() {
  const client = useClient();
  const { id = "" } = useParams();
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
