/** "$0.04" of millionths of a US dollar; small sums with as many digits as they need. */
export function dollars(millionths: number): string {
  const amount = millionths / 1e6;
  return `$${amount.toFixed(amount > 0 && amount < 0.1 ? 3 : 2)}`;
}

/** "3.4 MB", "12 kB", "1.1 GB". */
export function bytes(n: number): string {
  if (n < 1e6) return `${n === 0 ? 0 : Math.max(1, Math.round(n / 1e3))} kB`;
  return n < 1e9 ? `${(n / 1e6).toFixed(1)} MB` : `${(n / 1e9).toFixed(1)} GB`;
}

export interface Budget {
  spent: number;
  reserved: number;
  /** null: none. */
  limit: number | null;
}

/** How somebody stands with money this month. */
export function budgetText({ spent, reserved, limit }: Budget): string {
  return `You spent ${dollars(spent)}${limit === null ? '' : ` of ${dollars(limit)}`} this month${reserved ? `, ${dollars(reserved)} is reserved` : ''}.`;
}
