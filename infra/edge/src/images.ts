import { deliver } from "./deliver"
import { type Env, sharedSecret } from "./env"
import { findObject } from "./objects"
import { notFound, problem } from "./problem"
import { derive, mac, sameSecret } from "./secret"

export const IMAGES_PREFIX = "/images/"

/**
 * Pictures by their key in the bucket: `/images/…`, the guide's address. The rule of who may see one, kept on every request, cached bytes or not:
 *
 *  1. with `expires` and `sig`, by which the server vouches for this key until that time: whoever has the address;
 *  2. without: everybody, if D1 says that a public room shows it now;
 *  3. else 404, the same as for a picture that isn't there.
 *
 * Nothing but keys below `images/` is ever served: the bucket also holds snapshots of rooms.
 */
export async function image(request: Request, url: URL, env: Env, context: ExecutionContext): Promise<Response> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    return problem(405, "bad_request", "Method Not Allowed", "the method is not allowed here, see Allow", { Allow: "GET, HEAD" })
  }
  const key = keyOf(url.pathname)
  if (key === undefined) return notFound()
  const scope = (await isSigned(key, url.searchParams, env)) ? "private" : (await isPublic(key, env.KANVAS_DB)) ? "public" : undefined
  if (scope === undefined) return notFound()
  const object = await findObject(env.KANVAS_IMAGES, key, context)
  if (object === undefined) return notFound()
  return await deliver(request, object, new Headers({
    "Cache-Control": `${scope}, max-age=31536000, immutable`,
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "ETag, Accept-Ranges, Content-Range, X-Request-Id",
  }))
}

/** The key that a path names, or undefined for what can't be one. */
function keyOf(path: string): string | undefined {
  let elements: string[]
  try {
    elements = path.slice(1).split("/").map(decodeURIComponent)
  } catch {
    return undefined
  }
  const odd = elements.some((e) => e === "" || e === "." || e === ".." || /[\u0000-\u001f\u007f/\\]/.test(e))
  const key = elements.join("/")
  return odd || elements.length < 3 || new TextEncoder().encode(key).length > 1024 ? undefined : key
}

/** expires is in Unix seconds; sig is over it and the key as stored. */
async function isSigned(key: string, query: URLSearchParams, env: Env): Promise<boolean> {
  const expires = query.get("expires") ?? ""
  const sig = query.get("sig")
  const secret = sharedSecret(env)
  if (sig === null || secret === undefined || !/^\d{1,11}$/.test(expires) || Number(expires) * 1000 <= Date.now()) return false
  return await sameSecret(sig, await mac(await derive(secret, "kanvas/picture/v1"), `${expires}\n${key}`))
}

const PUBLIC = `SELECT 1 FROM assets AS a JOIN asset_rooms AS s ON s.asset_id = a.id JOIN rooms AS r ON r.id = s.room_id
  WHERE a.r2_key = ?1 AND a.status = 'ready' AND r.is_public = 1 AND r.visibility = 'public' AND r.deleted_at IS NULL LIMIT 1`

async function isPublic(key: string, db: D1Database): Promise<boolean> {
  return (await db.prepare(PUBLIC).bind(key).first()) !== null
}
