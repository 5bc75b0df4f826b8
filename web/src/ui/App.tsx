// The page, and who may see it.

import { useStore } from "zustand";
import type { Page } from "../core/page";
import { ClientProvider } from "./context";
import { ErrorBoundary, Unusable } from "./ErrorBoundary";
import { Layout } from "./Layout";
import { SignIn } from "./SignIn";

export function App({ page }: { page: Page }) {
  const { client, number } = useStore(page.store);
  const signedOut = useStore(page.auth.store, (state) => state.state === "signedOut");
  return (
    <ErrorBoundary key={number} fallback={<Unusable />}>
      <ClientProvider value={client}>{signedOut ? <SignIn /> : <Layout />}</ClientProvider>
    </ErrorBoundary>
  );
}
