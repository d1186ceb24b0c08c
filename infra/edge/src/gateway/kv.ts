import { readBody, readJSON } from "../body"
import { Code, Refusal, noRoute, succeed } from "./envelope"

/** Workers KV's own limits, checked here because the binding's errors are words without codes. */
const MAX_VALUE = 25 << 20
const MAX_KEY = 512
const MAX_METADATA = 1024
const MIN_TTL = 60
const MAX_LIST = 1000
/** Entries of one bulk call: each is a call of the binding, of which a Worker may make 1,000 a request. */
const MAX_BULK = 1000
/** Keys that the binding reads in one call. */
const MAX_BULK_GET = 100
/** Calls of the binding under way at once. */
const PARALLEL = 6

interface Entry {
  key: string
  value: string | ArrayBuffer | Uint8Array
  options: KVNamespacePutOptions
}

/** The routes below …/storage/kv/namespaces/:ns; path is what follows it, decoded. */
export async function kv(request: Request, url: URL, path: string[], ns: KVNamespace): Promise<Response> {
  const [what, key] = path
  try {
    if (what === "values" && path.length === 2) return await value(request, url, checkKey(key), ns)
    if (what === "metadata" && path.length === 2 && request.method === "GET") return await metadata(checkKey(key), ns)
    if (what === "keys" && path.length === 1 && request.method === "GET") return await list(url, ns)
    if (what === "bulk") return await bulk(request, path, ns)
  } catch (error) {
    throw refusal(error)
  }
  throw noRoute(request)
}

async function value(request: Request, url: URL, key: string, ns: KVNamespace): Promise<Response> {
  switch (request.method) {
    case "GET": {
      const stream = await ns.get(key, "stream")
      if (stream === null) throw notFound()
      return new Response(stream, { headers: { "Content-Type": "application/octet-stream", "Cache-Control": "no-store" } })
    }
    case "PUT": {
      const { bytes, metadata } = await content(request)
      await ns.put(key, bytes, options(url.searchParams.get("expiration"), url.searchParams.get("expiration_ttl"), metadata))
      return succeed({})
    }
    case "DELETE":
      await ns.delete(key)
      return succeed({})
  }
  throw noRoute(request)
}

/** A value comes as the body, or as the field `value` of a form with another named `metadata` (JSON). */
async function content(request: Request): Promise<{ bytes: ArrayBuffer | Uint8Array; metadata?: unknown }> {
  const bytes = await readBody(request, MAX_VALUE)
  const type = request.headers.get("Content-Type") ?? ""
  if (!type.toLowerCase().startsWith("multipart/form-data")) return { bytes }
  let form: FormData
  try {
    form = await new Response(bytes, { headers: { "Content-Type": type } }).formData()
  } catch {
    throw bad("the form can't be read")
  }
  const field = form.get("value")
  if (field === null) throw bad("the form has no field value")
  const body = typeof field === "string" ? new TextEncoder().encode(field) : await (field as File).arrayBuffer()
  const text = form.get("metadata")
  if (text === null || text === "") return { bytes: body }
  try {
    return { bytes: body, metadata: JSON.parse(typeof text === "string" ? text : await (text as File).text()) }
  } catch {
    throw bad("metadata is not JSON")
  }
}

async function metadata(key: string, ns: KVNamespace): Promise<Response> {
  const found = await ns.getWithMetadata(key, "stream")
  if (found.value === null) throw notFound()
  await found.value.cancel()
  return succeed(found.metadata)
}

async function list(url: URL, ns: KVNamespace): Promise<Response> {
  const limit = Number(url.searchParams.get("limit") ?? MAX_LIST)
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIST) throw bad(`limit must be 1 to ${MAX_LIST}`)
  const found = await ns.list({
    limit,
    prefix: url.searchParams.get("prefix") || null,
    cursor: url.searchParams.get("cursor") || null,
  })
  return succeed(found.keys, { count: found.keys.length, cursor: found.list_complete ? "" : found.cursor })
}

async function bulk(request: Request, path: string[], ns: KVNamespace): Promise<Response> {
  const route = `${request.method} ${path.slice(1).join("/")}`
  switch (route) {
    case "PUT ": {
      const entries = many(await readJSON(request, 4 * MAX_VALUE), MAX_BULK).map(entry)
      await inTurns(entries, (e) => ns.put(e.key, e.value, e.options))
      return succeed({ successful_key_count: entries.length, unsuccessful_keys: [] })
    }
    case "DELETE ":
    case "POST delete": {
      const keys = many(await readJSON(request, 4 * MAX_VALUE), MAX_BULK).map(checkKey)
      await inTurns(keys, (key) => ns.delete(key))
      return succeed({ successful_key_count: keys.length, unsuccessful_keys: [] })
    }
    case "POST get": {
      const body = await readJSON(request, MAX_VALUE)
      const keys = many((body as { keys?: unknown } | null)?.keys, MAX_BULK_GET).map(checkKey)
      return succeed({ values: Object.fromEntries(await ns.get(keys, "text")) })
    }
  }
  throw noRoute(request)
}

function many(body: unknown, most: number): unknown[] {
  if (!Array.isArray(body) || body.length === 0) throw bad("a list with entries is needed")
  if (body.length > most) throw bad(`${body.length} entries, at most ${most} are taken`)
  return body
}

function entry(e: unknown): Entry {
  if (typeof e !== "object" || e === null) throw bad("an entry is no object")
  const { key, value, base64, expiration, expiration_ttl, metadata } = e as Record<string, unknown>
  if (typeof value !== "string") throw bad("an entry's value is no string")
  return { key: checkKey(key), value: base64 === true ? decode(value) : value, options: options(expiration, expiration_ttl, metadata) }
}

function decode(base64: string): Uint8Array {
  try {
    return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))
  } catch {
    throw bad("an entry's value is not base64")
  }
}

function checkKey(key: unknown): string {
  if (typeof key !== "string" || key === "" || key === "." || key === "..") throw bad("a key is no string, empty, . or ..")
  const size = new TextEncoder().encode(key).length
  if (size > MAX_KEY) throw bad(`UTF-8 encoded length of ${size} exceeds key length limit of ${MAX_KEY}`)
  return key
}

function options(expiration: unknown, ttl: unknown, metadata: unknown): KVNamespacePutOptions {
  const out: KVNamespacePutOptions = {}
  if (expiration !== undefined && expiration !== null) {
    out.expiration = seconds(expiration, "expiration")
    if (out.expiration < Date.now() / 1000 + MIN_TTL) throw expires(`Invalid expiration of ${out.expiration}. It must be at least ${MIN_TTL} seconds in the future.`)
  }
  if (ttl !== undefined && ttl !== null) {
    out.expirationTtl = seconds(ttl, "expiration_ttl")
    if (out.expirationTtl < MIN_TTL) throw expires(`Invalid expiration_ttl of ${out.expirationTtl}. Expiration TTL must be at least ${MIN_TTL}.`)
  }
  if (metadata !== undefined && metadata !== null) {
    if (new TextEncoder().encode(JSON.stringify(metadata)).length > MAX_METADATA) throw bad(`metadata is longer than ${MAX_METADATA} bytes`)
    out.metadata = metadata
  }
  return out
}

function seconds(v: unknown, name: string): number {
  const n = typeof v === "number" ? v : /^\d+$/.test(String(v)) ? Number(v) : NaN
  if (!Number.isSafeInteger(n)) throw expires(`Invalid ${name}: a whole number of seconds is needed.`)
  return n
}

async function inTurns<T>(all: T[], each: (one: T) => Promise<unknown>): Promise<void> {
  const rest = all.values()
  const turn = async () => {
    for (const one of rest) await each(one)
  }
  await Promise.all(Array.from({ length: PARALLEL }, turn))
}

function bad(why: string): Refusal {
  return new Refusal(400, Code.kvBadRequest, why)
}

function expires(why: string): Refusal {
  return new Refusal(400, Code.kvBadExpiration, why)
}

function notFound(): Refusal {
  return new Refusal(404, Code.kvKeyNotFound, "get: 'key not found'")
}

/** The binding's own errors: KV's limit of about one write a second and key is the one that a client must know from the rest. */
function refusal(error: unknown): unknown {
  if (error instanceof Error && /\b429\b|Too Many Requests/i.test(error.message)) {
    return new Refusal(429, Code.kvTooMany, error.message, { "Retry-After": "1" })
  }
  return error
}
