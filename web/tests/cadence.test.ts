// Words gather for as long as showing them costs the page: a share of its time, between two bounds.

import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { CADENCE, Cadence } from "../src/core/cadence";

let frames: FrameRequestCallback[] = [];

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance", "setTimeout"] });
  frames = [];
  vi.stubGlobal("requestAnimationFrame", (act: FrameRequestCallback) => frames.push(act));
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** Shows words often, each time at such a cost. */
async function shown(cadence: Cadence, costMs: number): Promise<void> {
  for (let time = 0; time < 40; time++) {
    await cadence.show(() => vi.advanceTimersByTime(costMs));
    for (const frame of frames.splice(0)) frame(performance.now());
    vi.advanceTimersByTime(1);
  }
}

it("reads often where showing is cheap", async () => {
  const cadence = new Cadence();
  await shown(cadence, 1);
  expect(cadence.waitMs).toBe(CADENCE.leastMs);
});

it("keeps what showing costs to its share of the time", async () => {
  const cadence = new Cadence();
  await shown(cadence, 20);
  const share = 20 / (20 + cadence.waitMs);
  expect(share).toBeGreaterThan(CADENCE.share * 0.9);
  expect(share).toBeLessThan(CADENCE.share * 1.1);
});

it("never keeps a reader waiting longer than its bound, and learns of better times", async () => {
  const cadence = new Cadence();
  await shown(cadence, 500);
  expect(cadence.waitMs).toBe(CADENCE.mostMs);
  await shown(cadence, 1);
  expect(cadence.waitMs).toBe(CADENCE.leastMs);
});

it("asks for no second frame while a hidden tab gives none", async () => {
  const cadence = new Cadence();
  for (let time = 0; time < 5; time++) await cadence.show(() => {});
  expect(frames).toHaveLength(1);
});
