import type { Env } from "./env"
import { pass } from "./origin"

/** Where the copy is, beside the guide's keys. */
const KEY = "edge:rooms"
/** Younger than this a copy is served as it is; older, while the next is fetched. Milliseconds. */
const FRESH = 10_000
/** How long a copy is kept, seconds: for as long it stands in for a server that is away. */
const KEPT = 3_600
/** A copy that an isolate has begun to renew isn't renewed again by it within this, milliseconds. */
const RENEWAL = 5_000

interface Copy {
  at: number // Unix milliseconds
}

/** Is it the first page of the public list as strangers see it? Everything else (a caller's roles, further pages, min_revision) is the server's. */
export function isRoomList(request: Request, url: URL): boolean {
  const q = url.searchParams
  const plain = [...q.keys()].every((k) => k === "visibility" || k === "limit")
  return request.method === "GET" && url.pathname === "/v1/rooms" && plain && (q.get("visibility") ?? "public") === "public" && (q.get("limit") ?? "50") === "50" &&
    !["Authorization", "Cookie", "Origin"].some((name) => request.headers.has(name))
}

/**
 * GET /v1/rooms for strangers, from KV: stale-while-revalidate. The copy is the server's own answer, so it has its shape and order; it says its age in Age.
 * Without a copy the server is asked; where the server is away, the last copy of the hour is served.
 */
export async function roomList(request: Request, url: URL, env: Env, context: ExecutionContext, id: string): Promise<Response> {
  const copy = await read(env)
  if (copy === undefined) return await fetchList(request, url, env, context, id)
  if (copy.age >= FRESH && begin()) context.waitUntil(renew(request, url, env, id))
  return copy.response
}

async function read(env: Env): Promise<{ age: number; response: Response } | undefined> {
  try {
    const { value, metadata } = await env.KANVAS_CACHE.getWithMetadata<Copy>(KEY, { type: "text", cacheTtl: 60 })
    if (value === null || metadata === null) return undefined
    const age = Math.max(0, Date.now() - metadata.at)
    const headers = { "Content-Type": "application/json", "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff", Age: String(Math.floor(age / 1000)), Vary: "Authorization, Cookie, Origin" }
    return { age, response: new Response(value, { headers }) }
  } catch (error) {
    console.warn({ event: "kv_failed", key: KEY, error: String(error) })
    return undefined // the server has the list too
  }
}

async function fetchList(request: Request, url: URL, env: Env, context: ExecutionContext, id: string): Promise<Response> {
  const answer = await pass(request, url, env, id)
  if (answer.status !== 200) return answer
  const text = await answer.text()
  context.waitUntil(store(env, text))
  return new Response(text, answer)
}

async function renew(request: Request, url: URL, env: Env, id: string): Promise<void> {
  const answer = await pass(request, url, env, id)
  const text = await answer.text()
  if (answer.status === 200) await store(env, text)
}

async function store(env: Env, text: string): Promise<void> {
  try {
    await env.KANVAS_CACHE.put(KEY, text, { expirationTtl: KEPT, metadata: { at: Date.now() } satisfies Copy })
  } catch (error) {
    console.warn({ event: "kv_failed", key: KEY, error: String(error) }) // the next one asks the server again
  }
}

let begun = 0

/** Whether it is this request that renews the copy: one at a time in an isolate. */
function begin(): boolean {
  if (Date.now() - begun < RENEWAL) return false
  begun = Date.now()
  return true
}
