/** Every answer of Cloudflare's REST API has this shape. */
interface Envelope {
  success: boolean
  errors: { code: number; message: string }[]
  messages: string[]
  result: unknown
  result_info?: unknown
}

/** Codes as the public API uses them, so that a client needs no second table. */
export const Code = {
  authentication: 10000,
  noRoute: 7003,
  kvKeyNotFound: 10009,
  kvNamespaceNotFound: 10013,
  kvBadRequest: 10012,
  kvBadExpiration: 10033,
  kvTooMany: 10048,
  kvInternal: 10001,
  d1Malformed: 7400,
  d1NotFound: 7404,
  d1Failed: 7500,
} as const

/** A refusal in Cloudflare's words; thrown anywhere in the gateway, answered in one place. */
export class Refusal extends Error {
  constructor(readonly status: number, readonly code: number, message: string, readonly headers: Record<string, string> = {}) {
    super(message)
  }
}

export function succeed(result: unknown, info?: unknown): Response {
  const envelope: Envelope = { success: true, errors: [], messages: [], result }
  if (info !== undefined) envelope.result_info = info
  return answer(200, envelope)
}

export function refuse(r: Refusal): Response {
  return answer(r.status, { success: false, errors: [{ code: r.code, message: r.message }], messages: [], result: null }, r.headers)
}

export function noRoute(request: Request): Refusal {
  return new Refusal(404, Code.noRoute, `Could not route ${request.method} to this path: the gateway has D1's query and raw, and KV's values, keys, metadata and bulk.`)
}

function answer(status: number, envelope: Envelope, headers: Record<string, string> = {}): Response {
  return Response.json(envelope, { status, headers: { "Cache-Control": "no-store", ...headers } })
}
