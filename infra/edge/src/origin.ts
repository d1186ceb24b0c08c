import { type Env, sharedSecret } from "./env"
import { problem } from "./problem"
import { derive, mac } from "./secret"

/** How long the server may take until its answer begins, in seconds, where ORIGIN_TIMEOUT doesn't say. */
const ANSWER_WITHIN = 30
/** A body has to arrive first: 12 MiB from a slow line. */
const TIMES_WITH_BODY = 5

/** Addresses of the server that can be reached through the Worker. Not among them: /metrics and /readyz, which are its operator's. */
const PASSED_PREFIXES = ["/v1/", "/parties/", "/party/", "/api/", "/r/", "/assets/", "/problems/"]
const PASSED = new Set(["/", "/healthz", "/openapi.json", "/favicon.svg"])

export function isPassed(path: string): boolean {
  return PASSED.has(path) || PASSED_PREFIXES.some((prefix) => path.startsWith(prefix))
}

/** By OFFER_HEADER the Worker offers to add the bytes of an object, which the server names in its answer's OBJECT_HEADER. */
export const OFFER_HEADER = "Kanvas-Accept-Object"
export const OBJECT_HEADER = "Kanvas-Object"

/** What only the Worker may tell the server; from a client they are dropped. */
const OURS = ["Kanvas-Edge", OFFER_HEADER, "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Forwarded", "True-Client-IP"]

/**
 * Sends the request to the server as it is (method, headers, body, sockets), with who asked in X-Forwarded-For and a proof that the Worker says so.
 * What goes wrong on the way is answered with a problem: 502 unreachable, 504 too slow. It is never sent twice.
 */
export async function pass(request: Request, url: URL, env: Env, id: string, more: Record<string, string> = {}): Promise<Response> {
  const origin = originOf(env)
  if (origin === undefined) return away(503, "the address of the server is not set (ORIGIN)")
  const headers = await headersFor(request, url, env, id)
  for (const [name, value] of Object.entries(more)) headers.set(name, value)
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(), patience(request, env))
  try {
    const answer = await fetch(origin + url.pathname + url.search, {
      method: request.method, headers, body: request.body, redirect: "manual", signal: late.signal,
    })
    return isCloudflaresOwn(answer) ? away(502, "the server can't be reached") : answer
  } catch (error) {
    console.error({ event: "origin_failed", path: url.pathname, requestId: id, late: late.signal.aborted, error: String(error) })
    return late.signal.aborted ? away(504, "the server did not answer in time; whether it did what was asked is unknown") : away(502, "the server can't be reached")
  } finally {
    clearTimeout(timer) // the answer's body may take as long as it likes
  }
}

/** In milliseconds. */
function patience(request: Request, env: Env): number {
  const seconds = Number(env.ORIGIN_TIMEOUT) || ANSWER_WITHIN
  return 1000 * seconds * (request.body === null ? 1 : TIMES_WITH_BODY)
}

function away(status: number, detail: string): Response {
  return problem(status, "upstream_failed", "Upstream failed", detail, { "Retry-After": "2" })
}

function originOf(env: Env): string | undefined {
  try {
    const { protocol, origin } = new URL(env.ORIGIN ?? "")
    return protocol === "https:" || protocol === "http:" ? origin : undefined
  } catch {
    return undefined
  }
}

async function headersFor(request: Request, url: URL, env: Env, id: string): Promise<Headers> {
  const headers = new Headers(request.headers)
  for (const name of OURS) headers.delete(name)
  headers.set("X-Request-Id", id)
  headers.set("X-Forwarded-Host", url.host)
  headers.set("X-Forwarded-Proto", url.protocol.slice(0, -1))
  const client = request.headers.get("CF-Connecting-IP")
  if (client !== null) headers.set("X-Forwarded-For", client)
  const secret = sharedSecret(env)
  if (secret !== undefined) headers.set("Kanvas-Edge", await mac(await derive(secret, "kanvas/edge/v1"), "proof"))
  return headers
}

/** Cloudflare answers for a server that it can't reach, with pages of its own. */
function isCloudflaresOwn(answer: Response): boolean {
  return answer.status >= 520 && answer.status <= 530 && !(answer.headers.get("Content-Type") ?? "").includes("json")
}

/** The request's id: the client's where it is harmless to log, else Cloudflare's, else one of our own. */
export function requestID(request: Request): string {
  const given = request.headers.get("X-Request-Id") ?? ""
  if (/^[A-Za-z0-9._-]{1,64}$/.test(given)) return given
  return request.headers.get("CF-Ray") ?? crypto.randomUUID()
}
