/** An RFC 9457 problem with a stable code, as the server answers its own. Pages of any origin may read it: it holds a reason and nothing else. */
export function problem(status: number, code: string, title: string, detail: string, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify({ type: `/problems/${code}`, title, status, code, detail }), {
    status,
    headers: {
      "Content-Type": "application/problem+json",
      "Cache-Control": "no-store",
      "X-Content-Type-Options": "nosniff",
      "Access-Control-Allow-Origin": "*",
      ...headers,
    },
  })
}

export const notFound = () => problem(404, "not_found", "Not found", "there is nothing at this address")
