// How long words gather before they are shown: a moment where showing them is cheap, longer where it would keep the page busy.

export const CADENCE = { leastMs: 80, mostMs: 400, share: 1 / 14 };

/** Paces one stream by what it costs the page: rendering, layout and paint stay near `share` of the main thread. */
export class Cadence {
  private costMs = 0;
  private measuring = false;

  /** Milliseconds to let words gather before the next `show`. */
  get waitMs(): number {
    return Math.min(CADENCE.mostMs, Math.max(CADENCE.leastMs, this.costMs / CADENCE.share - this.costMs));
  }

  /** Calls `act` and takes the time of what follows from it: the microtasks it queued, and the next frame. */
  async show(act: () => void): Promise<void> {
    const began = performance.now();
    act();
    await Promise.resolve(); // behind the microtask in which a page renders what a store tells it
    const scriptMs = performance.now() - began;
    if (this.measuring) return;
    if (!globalThis.requestAnimationFrame) return this.learn(scriptMs);
    this.measuring = true; // in a tab that nobody sees, the frame comes when somebody does
    requestAnimationFrame(() => {
      const frame = performance.now();
      setTimeout(() => {
        this.measuring = false;
        this.learn(scriptMs + performance.now() - frame);
      });
    });
  }

  /** One frame that was slow for another reason changes little. */
  private learn(costMs: number): void {
    this.costMs += (costMs - this.costMs) / 4;
  }
}
