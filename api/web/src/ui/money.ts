/** "$0.04" of millionths of a US dollar; small sums with as many digits as they need. */
export function dollars(millionths: number): string {
  const amount = millionths / 1e6;
  return `$${amount.toFixed(amount > 0 && amount < 0.1 ? 3 : 2)}`;
}
