// How the client is built, served while it is worked on, and tested.
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const api = process.env.API ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [react()],
  server: { port: 5173, strictPort: true, proxy: { "/api": { target: api } } },
  build: {
    target: "es2022",
    manifest: true,
    // A data: URL in the style sheet would be one more thing for the content security policy to allow.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  test: {
    environment: "happy-dom",
    include: ["tests/**/*.test.{ts,tsx}"],
    setupFiles: ["tests/hook.ts", "tests/setup.ts"],
  },
});
