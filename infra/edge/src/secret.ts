const encoder = new TextEncoder()

/** Compares two strings in a time that tells nothing of where they differ, nor of how long the right one is. */
export async function sameSecret(given: string, right: string): Promise<boolean> {
  const [a, b] = await Promise.all([
    crypto.subtle.digest("SHA-256", encoder.encode(given)),
    crypto.subtle.digest("SHA-256", encoder.encode(right)),
  ])
  return crypto.subtle.timingSafeEqual(a, b)
}

/** HMAC-SHA256 in base64url without padding. */
export async function mac(key: Uint8Array | string, text: string): Promise<string> {
  return base64url(await hmac(typeof key === "string" ? encoder.encode(key) : key, text))
}

/** A key for one purpose, so that no two uses of the shared secret have the same (HMAC-SHA256 of the purpose; the server does likewise). */
export async function derive(secret: string, purpose: string): Promise<Uint8Array> {
  return await hmac(encoder.encode(secret), purpose)
}

async function hmac(key: Uint8Array, text: string): Promise<Uint8Array> {
  const imported = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"])
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, encoder.encode(text)))
}

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")
}
