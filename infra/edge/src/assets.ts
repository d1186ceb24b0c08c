import { deliver } from "./deliver"
import type { Env } from "./env"
import { findObject } from "./objects"
import { OBJECT_HEADER, OFFER_HEADER, pass } from "./origin"

export function isAsset(request: Request, url: URL): boolean {
  return (request.method === "GET" || request.method === "HEAD") && /^\/v1\/assets\/[^/]+$/.test(url.pathname)
}

/**
 * GET /v1/assets/:id: the server decides who may see it and names the object; the bytes come from the bucket here, under the server's headers. Where it
 * doesn't take the offer (its objects are elsewhere), or the bucket hasn't got the object, the bytes are the server's too.
 */
export async function asset(request: Request, url: URL, env: Env, context: ExecutionContext, id: string): Promise<Response> {
  const answer = await pass(request, url, env, id, { [OFFER_HEADER]: "1" })
  const key = answer.headers.get(OBJECT_HEADER)
  if (key === null) return answer
  await answer.body?.cancel()
  const object = await findObject(env.KANVAS_IMAGES, key, context)
  if (object === undefined) return await pass(request, url, env, id)
  const headers = new Headers(answer.headers)
  for (const name of [OBJECT_HEADER, "Content-Length", "Date"]) headers.delete(name)
  return await deliver(request, object, headers)
}
