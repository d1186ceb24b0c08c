/** What wrangler.toml and `wrangler secret put` give the Worker. */
export interface Env {
  KANVAS_DB: D1Database
  KANVAS_CACHE: KVNamespace
  KANVAS_IMAGES: R2Bucket

  /** Ids that the gateway answers to: those of the three bindings. A server that means another account or database gets 404, not this one's rows. */
  ACCOUNT_ID?: string
  DATABASE_ID?: string
  NAMESPACE_ID?: string

  /** Secret. Bearer token of the gateway, at least 32 characters. Unset: the gateway answers nobody. */
  GATEWAY_SECRET?: string
}

/** The shortest secret that is taken for one. */
export const MIN_SECRET_LENGTH = 32
