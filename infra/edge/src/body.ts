/** A body over the limit it was read with. */
export class TooLarge extends Error {
  constructor(readonly limit: number) {
    super(`the body is larger than ${limit} bytes`)
  }
}

/** Reads a whole body, at most limit bytes: also one that doesn't say its length, or lies about it. Throws TooLarge. */
export async function readBody(request: Request, limit: number): Promise<Uint8Array> {
  if (Number(request.headers.get("Content-Length") ?? 0) > limit) throw new TooLarge(limit)
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of request.body ?? []) {
    size += part.byteLength
    if (size > limit) throw new TooLarge(limit)
    parts.push(part)
  }
  const whole = new Uint8Array(size)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.byteLength
  }
  return whole
}

/** Reads a body as JSON. Throws TooLarge or SyntaxError. */
export async function readJSON(request: Request, limit: number): Promise<unknown> {
  const bytes = await readBody(request, limit)
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes))
  } catch {
    throw new SyntaxError("the body is not JSON")
  }
}
