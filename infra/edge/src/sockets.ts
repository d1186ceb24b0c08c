import type { Env } from "./env"
import { pass } from "./origin"
import { problem } from "./problem"
import { judge } from "./token"

export function isSocket(request: Request): boolean {
  return (request.headers.get("Upgrade") ?? "").toLowerCase() === "websocket"
}

/** Passes a socket to the server, unless the token that comes with the upgrade is certainly no good. Frames, subprotocol and close codes go through as they are. */
export async function socket(request: Request, url: URL, env: Env, id: string): Promise<Response> {
  const token = tokenOf(request, url)
  if (token !== undefined) {
    const verdict = await judge(token, env)
    // An old client whose token has expired becomes a guest again at the server.
    const old = !url.pathname.startsWith("/v1/")
    if (verdict === "bad" || (verdict === "expired" && !old)) {
      return problem(401, "unauthenticated", "Not authenticated", verdict === "bad" ? "the token is not valid here" : "the token has expired", { "WWW-Authenticate": 'Bearer realm="kanvas"' })
    }
  }
  return await pass(request, url, env, id)
}

/** Where the server looks for it too: old clients have it in the address, programs in Authorization. A page's comes in its first frame. */
function tokenOf(request: Request, url: URL): string | undefined {
  const given = url.pathname.startsWith("/v1/") ? null : url.searchParams.get("token")
  if (given) return given
  const [, bearer] = /^Bearer (.+)$/.exec(request.headers.get("Authorization") ?? "") ?? []
  return bearer
}
