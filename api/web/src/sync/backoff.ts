/** Waiting times between attempts, in ms: doubling from 250 ms to 10 s, each between half and all of it by chance, so that a
 * thousand pages do not come back in the same instant. */
export class Backoff {
  private failures = 0;

  constructor(private readonly random: () => number = Math.random, private readonly first = 250, private readonly most = 10_000) {}

  next(): number {
    const full = Math.min(this.most, this.first * 2 ** this.failures);
    this.failures++;
    return full * (0.5 + this.random() / 2);
  }

  reset(): void {
    this.failures = 0;
  }
}
