/** An RFC 9457 problem with a stable code, as the server answers its own. */
export function problem(status: number, code: string, detail: string, headers: Record<string, string> = {}): Response {
  return Response.json(
    { type: "about:blank", title: code.replaceAll("_", " "), status, code, detail },
    { status, headers: { "Content-Type": "application/problem+json", "Cache-Control": "no-store", ...headers } },
  )
}
