/** Largest object that is kept in the edge's cache, bytes. */
const MAX_CACHED = 16 << 20
/** How long its bytes are kept there, seconds. Who may have them is decided on every request, and an object never changes. */
const CACHED_FOR = 86_400

/** An object of the bucket, found but not read. Either read it once or close it. */
export interface StoredObject {
  size: number // bytes
  type: string // media type it was stored with, "" unknown
  etag: string // with quotes
  whole(): Promise<ReadableStream | null>
  part(offset: number, length: number): Promise<ReadableStream | null>
  close(): void
}

/** Finds an object in the edge's cache or the bucket. */
export async function findObject(bucket: R2Bucket, key: string, context: ExecutionContext): Promise<StoredObject | undefined> {
  const cache = await caches.open("objects")
  const part = async (offset: number, length: number) => (await bucket.get(key, { range: { offset, length } }))?.body ?? null
  const cached = await cache.match(cacheKey(key))
  if (cached?.body) {
    const close = () => void cached.body!.cancel()
    return {
      size: Number(cached.headers.get("Content-Length")),
      type: cached.headers.get("Content-Type") ?? "",
      etag: cached.headers.get("ETag") ?? "",
      whole: async () => cached.body,
      part: (offset, length) => (close(), part(offset, length)),
      close,
    }
  }
  const head = await bucket.head(key)
  if (head === null) return undefined
  const whole = async () => {
    const object = await bucket.get(key)
    if (object === null || object.size > MAX_CACHED) return object?.body ?? null
    const [mine, kept] = object.body.tee()
    context.waitUntil(keep(cache, object, kept))
    return mine
  }
  return { size: head.size, type: head.httpMetadata?.contentType ?? "", etag: head.httpEtag, whole, part, close: () => {} }
}

async function keep(cache: Cache, object: R2Object, body: ReadableStream): Promise<void> {
  const headers = { "Content-Type": object.httpMetadata?.contentType ?? "", "Content-Length": String(object.size), ETag: object.httpEtag, "Cache-Control": `public, max-age=${CACHED_FOR}` }
  try {
    await cache.put(cacheKey(object.key), new Response(body, { headers }))
  } catch (error) {
    console.warn({ event: "cache_put_failed", error: String(error) }) // it is read from the bucket again
  }
}

/** A name that is no address of anybody's: the cached bytes can be reached through this code alone. */
function cacheKey(key: string): string {
  return `https://objects.kanvas.invalid/${key.split("/").map(encodeURIComponent).join("/")}`
}
