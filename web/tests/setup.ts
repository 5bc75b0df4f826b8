// What every test needs: an IndexedDB, and a page cleared after each.

import "fake-indexeddb/auto";
import { cleanup } from "@testing-library/react";
import { afterEach } from "vitest";

afterEach(() => {
  cleanup();
  globalThis.sessionStorage?.clear(); // not there where a test is of the core alone
  globalThis.localStorage?.clear();
});
