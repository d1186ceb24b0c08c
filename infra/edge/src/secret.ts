const encoder = new TextEncoder()

/** Compares two strings in a time that tells nothing of where they differ, nor of how long the right one is. */
export async function sameSecret(given: string, right: string): Promise<boolean> {
  const [a, b] = await Promise.all([
    crypto.subtle.digest("SHA-256", encoder.encode(given)),
    crypto.subtle.digest("SHA-256", encoder.encode(right)),
  ])
  return crypto.subtle.timingSafeEqual(a, b)
}
