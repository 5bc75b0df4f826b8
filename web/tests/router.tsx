// An address bar of a test's own.

import { type ReactNode, useState } from "react";
import { Router } from "wouter";
import { memoryLocation } from "wouter/memory-location";

export function MemoryRouter({ initialEntries, children }: { initialEntries?: string[]; children: ReactNode }) {
  const [{ hook }] = useState(() => memoryLocation({ path: initialEntries?.[0] ?? "/" }));
  return <Router hook={hook}>{children}</Router>;
}
