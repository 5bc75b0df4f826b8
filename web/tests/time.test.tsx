// Days by the calendar, and times that stand still while somebody needs them.

import { act, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { ageOf } from "../src/core/age";
import { createClient } from "../src/core/client";
import { UNDO_MS } from "../src/core/conversations";
import { strings } from "../src/strings";
import { ClientProvider } from "../src/ui/context";
import { Toast } from "../src/ui/Toast";
import { MemoryRouter } from "./router";

const zone = process.env.TZ;
beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("matchMedia", () => ({ matches: true }));
  vi.stubGlobal("fetch", () => new Promise(() => {}));
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  if (zone === undefined) delete process.env.TZ;
  else process.env.TZ = zone;
});

// The night in which the clocks change, and nights without midnight; Lord Howe changes by half an hour.
it.each([
  ["Europe/Berlin", "2026-03-29"], // 23 hours
  ["Europe/Berlin", "2026-10-25"], // 25 hours
  ["America/New_York", "2026-03-08"],
  ["America/New_York", "2026-11-01"],
  ["Australia/Lord_Howe", "2026-04-05"],
  ["America/Santiago", "2026-09-06"], // the day begins at one o'clock
  ["Asia/Kolkata", "2026-06-15"], // never
])("in %s, around %s, a day is the calendar's", (place, day) => {
  process.env.TZ = place;
  const [year, month, date] = day.split("-").map(Number) as [number, number, number];
  const at = (days: number, hour: number, minute = 0) => new Date(year, month - 1, date + days, hour, minute);
  for (const now of [at(0, 3, 30), at(0, 12), at(0, 23, 59)]) {
    expect(ageOf(at(0, 3).toISOString(), now)).toBe("today");
    for (const [hour, minute] of [
      [3, 0],
      [12, 0],
      [23, 30],
    ] as const) {
      expect(ageOf(at(-1, hour, minute).toISOString(), now)).toBe("yesterday");
      expect(ageOf(at(-2, hour, minute).toISOString(), now)).toBe("week");
      expect(ageOf(at(-7, hour, minute).toISOString(), now)).toBe("week");
      expect(ageOf(at(-8, hour, minute).toISOString(), now)).toBe("older");
    }
  }
  // The day after: the night with the change lies between.
  expect(ageOf(at(0, 12).toISOString(), at(1, 0, 10))).toBe("yesterday");
  expect(ageOf(at(0, 23, 50).toISOString(), at(1, 12))).toBe("yesterday");
  expect(ageOf(at(-1, 23, 50).toISOString(), at(1, 12))).toBe("week");
});

it("takes a time that it cannot read for an old one", () => expect(ageOf("")).toBe("older"));

it("takes what a clock that is ahead has dated tomorrow for today", () => {
  const now = new Date(2026, 0, 5, 12);
  expect(ageOf(new Date(2026, 0, 6, 1).toISOString(), now)).toBe("today");
});

const summary = {
  id: "c",
  title: "Pears",
  budId: "default",
  model: "m",
  createdAt: "",
  updatedAt: "2026-01-01T00:00:00Z",
};

function deleted() {
  const client = createClient();
  const remove = vi.spyOn(client.api, "remove").mockResolvedValue(new Response());
  client.list.touch(summary);
  render(
    <ClientProvider value={client}>
      <MemoryRouter>
        <Toast />
      </MemoryRouter>
    </ClientProvider>,
  );
  act(() => client.list.hide("c"));
  return { client, remove };
}
const pass = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));
const undo = () => screen.getByText(strings.undo);
/** Whether the browser would show the focus: it does for one that a keyboard moved. */
const focusIsVisible = (visible: boolean) =>
  vi.spyOn(undo(), "matches").mockImplementation((query) => query === ":focus-visible" && visible);

function hide(hidden: boolean) {
  vi.spyOn(document, "hidden", "get").mockReturnValue(hidden);
  act(() => void document.dispatchEvent(new Event("visibilitychange")));
}

it.each([
  ["the pointer is on it", () => fireEvent.pointerEnter(undo()), () => fireEvent.pointerLeave(undo())],
  [
    "it has the focus of a keyboard",
    () => {
      focusIsVisible(true);
      act(() => undo().focus());
    },
    () => act(() => undo().blur()),
  ],
  ["nobody sees the tab", () => hide(true), () => hide(false)],
])("leaves the time for an undo standing while %s", async (_, begin, end) => {
  const { remove } = deleted();
  act(() => undo().blur()); // it has it from the start: nothing else had
  await pass(UNDO_MS - 1_000);
  begin();
  await pass(60_000);
  expect(remove).not.toHaveBeenCalled();
  end();
  await pass(900);
  expect(remove).not.toHaveBeenCalled();
  await pass(200);
  expect(remove).toHaveBeenCalledOnce();
});

it("does not hold the time by a focus that came by a pointer", async () => {
  const { remove } = deleted();
  focusIsVisible(false);
  fireEvent.focus(undo());
  await pass(UNDO_MS);
  expect(remove).toHaveBeenCalledOnce();
});

it("leaves what it says standing while somebody reads it", async () => {
  const client = createClient();
  render(
    <ClientProvider value={client}>
      <Toast />
    </ClientProvider>,
  );
  act(() => client.say("It did not work."));
  await pass(4_000);
  fireEvent.pointerEnter(screen.getByText("It did not work."));
  await pass(60_000);
  fireEvent.pointerLeave(screen.getByText("It did not work."));
  await pass(900);
  expect(screen.getByText("It did not work.")).toBeTruthy();
  await pass(200);
  expect(screen.queryByText("It did not work.")).toBeNull();
});
