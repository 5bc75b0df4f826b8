// The page's side of the highlighter: one worker for all blocks of code, which is replaced when a block keeps it busy too long.

import type { Answered, Asked } from "./highlight.worker";

/** The part of a Worker that is used here. */
export interface WorkerLike {
  postMessage: (asked: Asked) => void;
  addEventListener: {
    (type: "message", listener: (event: { data: Answered | "ready" }) => void): void;
    (type: "error", listener: () => void): void;
  };
  terminate: () => void;
}

interface Pending {
  asked: Asked;
  begun: boolean; // some of its lines have come: the work itself is done
}

// No block takes a phone so long, but a grammar can take for ever on some texts. Counted in ticks, since a page that was
// suspended has one tick late, not four: what the worker could not do meanwhile is not its fault.
const TICK_MS = 500;
const TICKS = 4;

export class Highlighter {
  private worker: WorkerLike | null = null;
  private isReady = false; // its script may take long to come: that is no fault of a block
  private pending: Pending[] = [];
  private ticks = 0;
  private timer: ReturnType<typeof setInterval> | undefined;
  private readonly listening = new Map<number, (answer: Answered) => void>();

  constructor(private readonly start: () => WorkerLike) {}

  /** Answers about the block go to `listener` until it is forgotten. */
  listen(block: number, listener: (answer: Answered) => void): void {
    this.listening.set(block, listener);
  }

  /** Asks for a block's colours. A block whose colours cannot be made in a reasonable time gets no answer. */
  ask(asked: Asked): void {
    this.pending.push({ asked, begun: false });
    if (!this.worker) this.begin();
    else this.worker.postMessage(asked);
    this.watch();
  }

  forget(block: number): void {
    this.listening.delete(block);
    this.pending = this.pending.filter(({ asked, begun }) => asked.block !== block || !begun);
    this.worker?.postMessage({ block, version: 0, language: "" });
  }

  /** A new worker, which is asked for all that is not answered yet. */
  private begin(): void {
    const worker = this.start();
    this.worker = worker;
    this.isReady = false;
    worker.addEventListener("message", ({ data }) => {
      if (this.worker !== worker) return; // sent before it was ended
      this.ticks = 0;
      if (data === "ready") this.isReady = true;
      else this.hear(data);
    });
    worker.addEventListener("error", () => {
      // Its script did not load. The next question tries again.
      if (this.worker !== worker || this.isReady) return;
      this.end();
      this.watch();
    });
    for (const { asked } of this.pending) worker.postMessage(asked);
  }

  private hear(answer: Answered): void {
    const at = this.pending.findIndex(({ asked }) => asked.block === answer.block && asked.version === answer.version);
    const answered = this.pending[at];
    if (answered) answered.begun = true;
    if (answered && answer.last) this.pending.splice(at, 1);
    this.watch();
    this.listening.get(answer.block)?.(answer);
  }

  private watch(): void {
    if (this.worker && this.pending.length) this.timer ??= setInterval(() => this.tick(), TICK_MS);
    else {
      clearInterval(this.timer);
      this.timer = undefined;
    }
  }

  private tick(): void {
    if (!this.worker || !this.isReady || ++this.ticks < TICKS) return;
    // It works through its questions in their order: it hangs at the first without an answer.
    const stuck = this.pending.findIndex(({ begun }) => !begun);
    this.pending.splice(Math.max(0, stuck), 1);
    this.pending = this.pending.filter(({ asked }) => this.listening.has(asked.block));
    for (const one of this.pending) one.begun = false;
    this.end();
    if (this.pending.length) this.begin();
    this.watch();
  }

  private end(): void {
    this.ticks = 0;
    this.worker?.terminate();
    this.worker = null;
  }
}
