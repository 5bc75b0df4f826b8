// A time that somebody is given, which stands still while they are using it or cannot see it.

export class Countdown {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private startedAt = 0;
  private over = false;

  /** Calls `act` once, after `leftMs` during which it was not held. */
  constructor(
    private leftMs: number,
    private readonly act: () => void,
  ) {
    this.hold(false);
  }

  hold(held: boolean): void {
    if (this.over || held === (this.timer === undefined)) return;
    if (held) {
      this.leftMs -= performance.now() - this.startedAt;
      clearTimeout(this.timer);
      this.timer = undefined;
    } else {
      this.startedAt = performance.now();
      this.timer = setTimeout(() => {
        this.over = true;
        this.act();
      }, this.leftMs);
    }
  }

  cancel(): void {
    clearTimeout(this.timer);
    this.over = true;
  }
}
