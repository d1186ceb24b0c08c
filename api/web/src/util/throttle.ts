/**
 * Calls `send` with the newest value at most once an interval (ms): at once when idle, else at the end of the interval.
 * `flush` sends what waits, `cancel` drops it.
 */
export class Throttle<T> {
  private waiting: T | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly interval: number, private readonly send: (value: T) => void) {}

  push(value: T): void {
    if (this.timer !== undefined) {
      this.waiting = value;
      return;
    }
    this.send(value);
    this.arm();
  }

  flush(): void {
    const value = this.waiting;
    this.cancel();
    if (value !== undefined) this.send(value);
  }

  cancel(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.waiting = undefined;
  }

  private arm(): void {
    this.timer = setTimeout(() => {
      this.timer = undefined;
      const value = this.waiting;
      if (value === undefined) return;
      this.waiting = undefined;
      this.send(value);
      this.arm();
    }, this.interval);
  }
}
