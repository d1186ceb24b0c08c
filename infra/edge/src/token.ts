import { compactVerify, createRemoteJWKSet, decodeJwt, decodeProtectedHeader, errors, importSPKI, type JWTPayload, type ProtectedHeaderParameters } from "jose"
import type { Env } from "./env"

/** The longest token that is looked at, as at the server. */
const MAX_LENGTH = 8 << 10
/** Clocks may differ by this, seconds, as at the server. */
const LEEWAY = 5

/** "bad": certainly nobody's. "expired": was somebody's. "unknown": only the server can say. */
export type Verdict = "good" | "bad" | "expired" | "unknown"

/**
 * Looks at a token before the server is bothered with it. Only what is certainly no good is called bad: a token of a key that the Worker doesn't know may be one
 * of a key that the server got yesterday, and the server checks every token again anyway.
 */
export async function judge(token: string, env: Env): Promise<Verdict> {
  if (token.length > MAX_LENGTH) return "bad"
  let header: ProtectedHeaderParameters
  let payload: JWTPayload
  try {
    header = decodeProtectedHeader(token)
    payload = decodeJwt(token)
  } catch {
    return "bad" // no token at all
  }
  if (header.alg === "HS256") return await judgeOwn(token, header.kid, payload, env)
  if (header.alg === "RS256") return await judgeClerk(token, payload, env)
  return "bad"
}

async function judgeOwn(token: string, kid: string | undefined, payload: JWTPayload, env: Env): Promise<Verdict> {
  const key = fromHex(env.TOKEN_KEY ?? "")
  if (key === undefined || kid !== (await kidOf(key))) return "unknown"
  return await judgeSigned(token, payload, key)
}

async function judgeClerk(token: string, payload: JWTPayload, env: Env): Promise<Verdict> {
  try {
    if (env.CLERK_PEM) return await judgeSigned(token, payload, await pem(env.CLERK_PEM))
    if (env.CLERK_JWKS_URL) return await judgeSigned(token, payload, jwks(env.CLERK_JWKS_URL))
  } catch (error) {
    console.error({ event: "clerk_key_bad", error: String(error) }) // of the setting, not of the token
  }
  return "unknown"
}

async function judgeSigned(token: string, payload: JWTPayload, key: Parameters<typeof compactVerify>[1]): Promise<Verdict> {
  try {
    await compactVerify(token, key)
  } catch (error) {
    return error instanceof errors.JWSSignatureVerificationFailed ? "bad" : "unknown" // an unknown key, or none could be fetched
  }
  return typeof payload.exp === "number" && payload.exp < Date.now() / 1000 - LEEWAY ? "expired" : "good"
}

/** The id that the server gives its key: the first 6 bytes of SHA-256("kanvas/kid/" + key) in hex. */
async function kidOf(key: Uint8Array): Promise<string> {
  const prefix = new TextEncoder().encode("kanvas/kid/")
  const text = new Uint8Array(prefix.length + key.length)
  text.set(prefix)
  text.set(key, prefix.length)
  const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", text))
  return Array.from(sum.subarray(0, 6), (b) => b.toString(16).padStart(2, "0")).join("")
}

function fromHex(hex: string): Uint8Array | undefined {
  if (!/^[0-9a-f]{64}$/i.test(hex)) return undefined
  return Uint8Array.from(hex.match(/../g)!, (b) => parseInt(b, 16))
}

/** Clerk's keys live as long as the isolate; the library fetches them again where a token names a new one, at most twice a minute. */
let fetched: { url: string; keys: ReturnType<typeof createRemoteJWKSet> } | undefined

function jwks(url: string): ReturnType<typeof createRemoteJWKSet> {
  if (fetched?.url !== url) fetched = { url, keys: createRemoteJWKSet(new URL(url), { timeoutDuration: 3_000, cooldownDuration: 30_000 }) }
  return fetched.keys
}

let imported: { pem: string; key: CryptoKey } | undefined

async function pem(text: string): Promise<CryptoKey> {
  if (imported?.pem !== text) imported = { pem: text, key: await importSPKI(text.replaceAll("\\n", "\n"), "RS256") }
  return imported.key
}
