import type { Env } from "./env"
import { GATEWAY_PREFIX, gateway } from "./gateway/gateway"
import { problem } from "./problem"

export default {
  async fetch(request, env): Promise<Response> {
    const url = new URL(request.url)
    if (url.pathname.startsWith(GATEWAY_PREFIX)) return await gateway(request, url, env)
    return problem(404, "not_found", "there is nothing at this address")
  },
} satisfies ExportedHandler<Env>
