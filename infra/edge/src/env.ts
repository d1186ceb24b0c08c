/** What wrangler.toml and `wrangler secret put` give the Worker. */
export interface Env {
  KANVAS_DB: D1Database
  KANVAS_CACHE: KVNamespace
  KANVAS_IMAGES: R2Bucket

  /** Where the server is: scheme, host and port, such as https://rooms.example.com. Unset: only pictures by their key and the gateway are served. */
  ORIGIN?: string
  /** Seconds that the server may take until its answer begins (30); five times that where the request has a body, which has to arrive first. */
  ORIGIN_TIMEOUT?: string

  /** Ids that the gateway answers to: those of the three bindings. A server that means another account or database gets 404, not this one's rows. */
  ACCOUNT_ID?: string
  DATABASE_ID?: string
  NAMESPACE_ID?: string

  /**
   * Secret shared with the server (KANVAS_GATEWAY_SECRET), at least 32 characters: bearer token of the gateway, and what the keys of signed picture addresses
   * and of the Worker's proof are derived from. Unset: the gateway answers nobody, and the server takes the Worker for any client.
   */
  GATEWAY_SECRET?: string
  /** Secret: the key of the server's own tokens, 32 bytes in hex (`kanvas edge-key` prints it). Unset: they are left to the server to check. */
  TOKEN_KEY?: string
  /** Where Clerk's public keys are (…/.well-known/jwks.json), or one as PEM. Neither: Clerk's tokens are left to the server to check. */
  CLERK_JWKS_URL?: string
  CLERK_PEM?: string
}

/** The shortest secret that is taken for one. */
export const MIN_SECRET_LENGTH = 32

/** The shared secret, or undefined where there is none worth the name. */
export function sharedSecret(env: Env): string | undefined {
  const secret = env.GATEWAY_SECRET ?? ""
  return secret.length >= MIN_SECRET_LENGTH ? secret : undefined
}
