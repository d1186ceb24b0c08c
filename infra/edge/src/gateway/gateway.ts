import { TooLarge } from "../body"
import { type Env, MIN_SECRET_LENGTH } from "../env"
import { sameSecret } from "../secret"
import { d1 } from "./d1"
import { Code, Refusal, noRoute, refuse } from "./envelope"
import { kv } from "./kv"

/** Where the gateway's routes begin: as in Cloudflare's public API, so that a client differs in its base URL and token alone. */
export const GATEWAY_PREFIX = "/client/v4/"

/**
 * Answers the routes of Cloudflare's REST API that Kanvas uses, over this Worker's own D1 and KV bindings. It escapes the public API's budget
 * of 1,200 calls in 5 minutes, and can reach nothing but the two bindings. Every answer has Cloudflare's envelope and codes.
 */
export async function gateway(request: Request, url: URL, env: Env): Promise<Response> {
  try {
    await authenticate(request, env)
    return await route(request, url, env)
  } catch (error) {
    if (error instanceof Refusal) return refuse(error)
    if (error instanceof TooLarge) return refuse(new Refusal(413, Code.d1Malformed, `The request is malformed: ${error.message}.`))
    if (error instanceof SyntaxError) return refuse(new Refusal(400, Code.d1Malformed, `The request is malformed: ${error.message}.`))
    console.error({ event: "gateway_failed", path: url.pathname, error: String(error) })
    return refuse(new Refusal(500, Code.kvInternal, "The gateway failed."))
  }
}

async function authenticate(request: Request, env: Env): Promise<void> {
  const secret = env.GATEWAY_SECRET ?? ""
  if (secret.length < MIN_SECRET_LENGTH) {
    throw new Refusal(503, Code.authentication, `The gateway is off: GATEWAY_SECRET is not set to ${MIN_SECRET_LENGTH} characters or more.`)
  }
  const given = request.headers.get("Authorization") ?? ""
  if (!(await sameSecret(given, `Bearer ${secret}`))) throw new Refusal(401, Code.authentication, "Authentication error")
}

async function route(request: Request, url: URL, env: Env): Promise<Response> {
  const path = segments(url.pathname.slice(GATEWAY_PREFIX.length))
  const [accounts, account, ...rest] = path
  if (accounts !== "accounts" || account === undefined) throw noRoute(request)
  if (!env.ACCOUNT_ID || account !== env.ACCOUNT_ID) {
    throw new Refusal(404, Code.noRoute, "This gateway is not of that account.")
  }
  if (rest[0] === "d1" && rest[1] === "database" && rest.length === 4) {
    if (!env.DATABASE_ID || rest[2] !== env.DATABASE_ID) throw new Refusal(404, Code.d1NotFound, "The database could not be found")
    return await d1(request, rest[3]!, env.KANVAS_DB)
  }
  if (rest[0] === "storage" && rest[1] === "kv" && rest[2] === "namespaces" && rest.length >= 5) {
    if (!env.NAMESPACE_ID || rest[3] !== env.NAMESPACE_ID) throw new Refusal(404, Code.kvNamespaceNotFound, "namespace not found")
    return await kv(request, url, rest.slice(4), env.KANVAS_CACHE)
  }
  throw noRoute(request)
}

/** Splits first and decodes then, so that a key may hold a slash. */
function segments(path: string): string[] {
  try {
    return path.split("/").map(decodeURIComponent)
  } catch {
    throw new Refusal(400, Code.noRoute, "The path is not well encoded.")
  }
}
