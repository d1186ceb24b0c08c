import type { StoredObject } from "./objects"
import { notFound, problem } from "./problem"

/** Types that browsers show where they are opened; everything else is only ever downloaded. */
const SHOWN = new Set(["image/png", "image/jpeg", "image/webp", "image/gif", "image/avif", "video/mp4", "video/webm"])

/**
 * Answers GET or HEAD with the bytes of an object, conditions and ranges as in RFC 9110. headers are those of a whole answer; type, tag and what
 * keeps the file from doing anything are added where they are missing. The caller has decided that it may be seen.
 */
export async function deliver(request: Request, object: StoredObject, headers: Headers): Promise<Response> {
  const h = complete(headers, object)
  const etag = h.get("ETag")!
  if (matches(request.headers.get("If-None-Match"), etag)) {
    object.close()
    for (const name of ["Content-Type", "Content-Disposition"]) h.delete(name)
    return new Response(null, { status: 304, headers: h })
  }
  if (request.method === "HEAD") {
    object.close()
    h.set("Content-Length", String(object.size))
    return new Response(null, { headers: h })
  }
  const ifRange = request.headers.get("If-Range")
  const span = parseRange(ifRange === null || ifRange === etag ? request.headers.get("Range") : null, object.size)
  if (span === "none") {
    object.close()
    return problem(416, "bad_request", "Range Not Satisfiable", `the range lies outside of ${object.size} bytes`, { "Content-Range": `bytes */${object.size}` })
  }
  if (span === "all") return answer(await object.whole(), 200, h, object.size)
  h.set("Content-Range", `bytes ${span.first}-${span.last}/${object.size}`)
  const length = span.last - span.first + 1
  return answer(await object.part(span.first, length), 206, h, length)
}

function answer(body: ReadableStream | null, status: number, headers: Headers, length: number): Response {
  if (body === null) return notFound() // deleted in between
  // The length is said before the bytes: whoever gets fewer knows that they are not all.
  return new Response(body.pipeThrough(new FixedLengthStream(length)), { status, headers })
}

function complete(headers: Headers, object: StoredObject): Headers {
  const h = new Headers(headers)
  const add = (name: string, value: string) => h.has(name) || h.set(name, value)
  if (!SHOWN.has(object.type)) add("Content-Disposition", "attachment")
  add("Content-Type", SHOWN.has(object.type) ? object.type : "application/octet-stream")
  add("ETag", object.etag)
  add("Content-Security-Policy", "default-src 'none'; sandbox")
  add("Cross-Origin-Resource-Policy", "cross-origin")
  h.set("X-Content-Type-Options", "nosniff")
  h.set("Accept-Ranges", "bytes")
  return h
}

function matches(header: string | null, tag: string): boolean {
  return (header ?? "").split(",").some((t) => t.trim() === "*" || t.trim().replace(/^W\//, "") === tag)
}

/** Bytes first to last of an object, both included; "all" where the header says nothing that has to be followed; "none" where it lies outside. */
function parseRange(header: string | null, size: number): { first: number; last: number } | "all" | "none" {
  const found = /^bytes=(\d*)-(\d*)$/.exec((header ?? "").trim())
  if (found === null) return "all" // other units, several ranges, no syntax
  const [, from = "", to = ""] = found
  if (from === "") {
    if (to === "") return "all"
    const length = Math.min(Number(to), size)
    return length === 0 ? "none" : { first: size - length, last: size - 1 }
  }
  if (to !== "" && Number(to) < Number(from)) return "all"
  if (Number(from) >= size) return "none"
  return { first: Number(from), last: to === "" ? size - 1 : Math.min(Number(to), size - 1) }
}
