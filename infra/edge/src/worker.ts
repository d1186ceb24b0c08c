import { asset, isAsset } from "./assets"
import type { Env } from "./env"
import { GATEWAY_PREFIX, gateway } from "./gateway/gateway"
import { IMAGES_PREFIX, image } from "./images"
import { isPassed, pass, requestID } from "./origin"
import { notFound, problem } from "./problem"
import { isRoomList, roomList } from "./rooms"
import { isSocket, socket } from "./sockets"

export default {
  async fetch(request, env, context): Promise<Response> {
    const id = requestID(request)
    try {
      return named(await route(request, new URL(request.url), env, context, id), id)
    } catch (error) {
      console.error({ event: "edge_failed", requestId: id, error: String(error) })
      return named(problem(500, "internal", "Internal error", "something went wrong here; the log has it under this request's id"), id)
    }
  },
} satisfies ExportedHandler<Env>

/** Everything that can be reached. */
async function route(request: Request, url: URL, env: Env, context: ExecutionContext, id: string): Promise<Response> {
  const path = url.pathname
  if (path.startsWith(GATEWAY_PREFIX)) return await gateway(request, url, env)
  if (path.startsWith(IMAGES_PREFIX)) return await image(request, url, env, context, id)
  if (!isPassed(path)) return notFound()
  if (isSocket(request)) return await socket(request, url, env, id)
  if (isAsset(request, url)) return await asset(request, url, env, context, id)
  if (isRoomList(request, url)) return await roomList(request, url, env, context, id)
  return await pass(request, url, env, id)
}

/** Every answer says its request's id; an upgrade is handed over as it is. */
function named(answer: Response, id: string): Response {
  if (answer.status === 101) return answer
  const out = new Response(answer.body, answer)
  out.headers.set("X-Request-Id", id)
  out.headers.delete("Kanvas-Object")
  return out
}
