import type { Env } from "./env"
import { pass } from "./origin"

/** Where the copy is, beside the guide's keys. */
const KEY = "edge:rooms"
/** Younger than this a copy is served as it is; older, while the next is fetched. Milliseconds. */
const FRESH = 10_000
/**
 * From this age on a copy is served only where the server doesn't answer, milliseconds: a room that turned private must not stay on the list because
 * nobody had asked for it. More than FRESH and the minute that KV may keep a copy near its readers.
 */
const OLD = 120_000
/** How long the server may take until an old copy is served instead; then, and where it fails, it is left alone for as long as RENEWAL. Milliseconds. */
const PATIENCE = 3_000
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
 * Without a copy, or with an old one, the server is asked; where it is away, the last copy of the hour is served.
 */
export async function roomList(request: Request, url: URL, env: Env, context: ExecutionContext, id: string): Promise<Response> {
  const copy = await read(env)
  if (copy === undefined) return tell("miss", await fetchList(request, url, env, context, id), id)
  if (copy.age < FRESH) return tell("hit", copy.response, id)
  if (copy.age >= OLD) {
    const answer = await fetchSoon(request, url, env, context, id)
    return answer === undefined ? tell("stale", copy.response, id) : tell("miss", answer, id)
  }
  if (begin()) context.waitUntil(fetchList(request, url, env, context, id).then((answer) => answer.body?.cancel()))
  return tell("stale", copy.response, id)
}

/** How RFC 9211 says it. */
const STATUS = { hit: "kanvas; hit", stale: "kanvas; hit; detail=stale", miss: "kanvas; fwd=miss" }

/** Says where the list came from: to the client, and in the Worker's log, where hits and misses are counted. */
function tell(outcome: keyof typeof STATUS, answer: Response, id: string): Response {
  console.info({ level: "info", timestamp: Date.now(), event: "kv_read", key: KEY, outcome, requestId: id })
  const told = new Response(answer.body, answer)
  told.headers.set("Cache-Status", STATUS[outcome])
  return told
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

/** The server's answer, which is kept where it is a list. */
async function fetchList(request: Request, url: URL, env: Env, context: ExecutionContext, id: string): Promise<Response> {
  const answer = await pass(request, url, env, id)
  if (!isList(answer)) return answer
  const text = await answer.text()
  context.waitUntil(store(env, text))
  return new Response(text, answer)
}

/** The list, or undefined where the server fails, takes too long, or did so a moment ago. */
async function fetchSoon(request: Request, url: URL, env: Env, context: ExecutionContext, id: string): Promise<Response | undefined> {
  if (Date.now() - failed < RENEWAL) return undefined
  const list = fetchList(request, url, env, context, id)
  context.waitUntil(list) // also where it comes too late for this caller
  const answer = await Promise.race([list, new Promise<undefined>((late) => setTimeout(late, PATIENCE))])
  if (answer !== undefined && isList(answer)) return answer
  failed = Date.now()
  await answer?.body?.cancel()
  return undefined
}

/** Is it a list, and not a failure or a page of somebody between the server and here? */
function isList(answer: Response): boolean {
  return answer.status === 200 && (answer.headers.get("Content-Type") ?? "").startsWith("application/json")
}

let failed = 0

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
