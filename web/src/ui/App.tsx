// The routes, and who may see them.

import { BrowserRouter, Navigate, Route, Routes } from "react-router";
import { useStore } from "zustand";
import type { Client } from "../core/client";
import { ClientProvider } from "./context";
import { ErrorBoundary } from "./ErrorBoundary";
import { Layout } from "./Layout";
import { ChatRoute, NewRoute } from "./routes";
import { SignIn } from "./SignIn";

export function App({ client }: { client: Client }) {
  const signedOut = useStore(client.auth.store, (state) => state.state === "signedOut");
  return (
    <ErrorBoundary>
      <ClientProvider value={client}>
        {signedOut ? (
          <SignIn />
        ) : (
          <BrowserRouter>
            <Routes>
              <Route element={<Layout />}>
                <Route path="/new" element={<NewRoute />} />
                <Route path="/chat/:id" element={<ChatRoute />} />
              </Route>
              <Route path="*" element={<Navigate to="/new" replace />} />
            </Routes>
          </BrowserRouter>
        )}
      </ClientProvider>
    </ErrorBoundary>
  );
}
