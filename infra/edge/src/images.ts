import { deliver } from "./deliver"
import { type Env, sharedSecret } from "./env"
import { findObject } from "./objects"
import { OBJECT_HEADER, OFFER_HEADER, pass } from "./origin"
import { notFound, problem } from "./problem"
import { derive, mac, sameSecret } from "./secret"

export const IMAGES_PREFIX = "/images/"

/**
 * Pictures by their key in the bucket: `/images/…`, the guide's address. The rule of who may see one, kept on every request, cached bytes or not:
 *
 *  1. everybody, if D1 says that a public room shows it now;
 *  2. with `asset`, `expires` and `sig`, by which the server vouches until that time that the key is the asset's: everybody, if D1 says so of the
 *     asset (a key may be of a smaller picture of it), or else the server itself, which knows before D1 does;
 *  3. else 404, the same as for a picture that isn't there.
 *
 * Nothing but keys below `images/` is ever served: the bucket also holds snapshots of rooms.
 */
export async function image(request: Request, url: URL, env: Env, context: ExecutionContext, id: string): Promise<Response> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    return problem(405, "bad_request", "Method Not Allowed", "the method is not allowed here, see Allow", { Allow: "GET, HEAD" })
  }
  const key = keyOf(url.pathname)
  if (key === undefined) return notFound()
  const asset = await signedAsset(key, url.searchParams, env)
  const shown = asset === undefined ? await isPublic("r2_key", key, env.KANVAS_DB) : (await isPublic("id", asset, env.KANVAS_DB)) || (await serverShows(asset, request, url, env, id))
  if (!shown) return notFound()
  const object = await findObject(env.KANVAS_IMAGES, key, context)
  if (object === undefined) return notFound()
  return await deliver(request, object, new Headers({
    "Cache-Control": "public, max-age=31536000, immutable, s-maxage=0", // caches that many share ask again: it may be private tomorrow
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

/** The asset that the server vouches for. expires is in Unix seconds; sig is over it, the asset and the key as stored. */
async function signedAsset(key: string, query: URLSearchParams, env: Env): Promise<string | undefined> {
  const expires = query.get("expires") ?? ""
  const asset = query.get("asset") ?? ""
  const sig = query.get("sig")
  const secret = sharedSecret(env)
  if (sig === null || secret === undefined || !/^\d{1,11}$/.test(expires) || Number(expires) * 1000 <= Date.now()) return undefined
  const right = await sameSecret(sig, await mac(await derive(secret, "kanvas/picture/v1"), `${expires}\n${asset}\n${key}`))
  return right ? asset : undefined
}

const PUBLIC = `FROM assets AS a JOIN asset_rooms AS s ON s.asset_id = a.id JOIN rooms AS r ON r.id = s.room_id
  WHERE a.status = 'ready' AND r.is_public = 1 AND r.visibility = 'public' AND r.deleted_at IS NULL`

async function isPublic(column: "id" | "r2_key", value: string, db: D1Database): Promise<boolean> {
  return (await db.prepare(`SELECT 1 ${PUBLIC} AND a.${column} = ?1 LIMIT 1`).bind(value).first()) !== null
}

/** Whether the server says to a stranger that anybody may see the asset now. */
async function serverShows(asset: string, request: Request, url: URL, env: Env, id: string): Promise<boolean> {
  const headers = new Headers()
  const client = request.headers.get("CF-Connecting-IP")
  if (client !== null) headers.set("CF-Connecting-IP", client) // whose question it counts as
  const path = new URL(`/v1/assets/${encodeURIComponent(asset)}`, url)
  const answer = await pass(new Request(path, { headers }), path, env, id, { [OFFER_HEADER]: "1" })
  await answer.body?.cancel()
  return answer.status === 200 && answer.headers.has(OBJECT_HEADER) && (answer.headers.get("Cache-Control") ?? "").startsWith("public")
}
