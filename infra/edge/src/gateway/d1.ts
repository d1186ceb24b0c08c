import { readJSON } from "../body"
import { Code, Refusal, noRoute, succeed } from "./envelope"

/** Largest request of D1 statements, bytes of JSON. */
const MAX_BODY = 10 << 20
/** Statements of one request: what D1 lets one call of a Worker run. */
const MAX_STATEMENTS = 1000

type Param = string | number | null
interface Statement {
  sql: string
  params: Param[]
}

/**
 * POST …/query and …/raw, `{sql, params}` or `{batch:[…]}`. Each request is one `batch()` and so atomic: all of it or nothing. A statement that SQLite refuses is
 * 400 with code 7500 and SQLite's words, and nothing was changed; any other status leaves the outcome unknown, as the public API does.
 * `raw` of a single statement keeps columns of the same name apart (joins); in a batch they are one, since the binding returns objects there.
 */
export async function d1(request: Request, form: string, db: D1Database): Promise<Response> {
  if (request.method !== "POST" || (form !== "query" && form !== "raw")) throw noRoute(request)
  const body = await readJSON(request, MAX_BODY)
  const { statements, single } = parse(body)
  const prepared = statements.map((s) => db.prepare(s.sql).bind(...s.params))
  try {
    if (form === "raw" && single) return succeed([await raw(prepared[0]!)])
    const results = await db.batch<Record<string, unknown>>(prepared)
    return succeed(results.map((r) => (form === "raw" ? { ...r, results: table(r.results) } : r)))
  } catch (error) {
    throw refusal(error)
  }
}

async function raw(statement: D1PreparedStatement): Promise<unknown> {
  const started = Date.now()
  const [columns, ...rows] = await statement.raw({ columnNames: true })
  return { success: true, results: { columns, rows }, meta: { duration: Date.now() - started } }
}

function table(rows: Record<string, unknown>[]): unknown {
  const columns = Object.keys(rows[0] ?? {})
  return { columns, rows: rows.map((row) => columns.map((c) => row[c])) }
}

function parse(body: unknown): { statements: Statement[]; single: boolean } {
  if (typeof body !== "object" || body === null) throw malformed("an object with sql or batch is needed")
  if (!("batch" in body)) return { statements: [statement(body)], single: true }
  if ("sql" in body) throw malformed("sql and batch exclude each other")
  if (!Array.isArray(body.batch) || body.batch.length === 0) throw malformed("batch is not a list with statements")
  if (body.batch.length > MAX_STATEMENTS) throw malformed(`batch has ${body.batch.length} statements, at most ${MAX_STATEMENTS} are taken`)
  return { statements: body.batch.map(statement), single: false }
}

function statement(s: unknown): Statement {
  if (typeof s !== "object" || s === null || !("sql" in s) || typeof s.sql !== "string" || s.sql.trim() === "") {
    throw malformed("a statement needs sql")
  }
  const params = "params" in s ? s.params : []
  if (!Array.isArray(params)) throw malformed("params is not a list")
  return { sql: s.sql, params: params.map(param) }
}

function param(p: unknown): Param {
  if (typeof p === "string" || typeof p === "number" || p === null) return p
  if (typeof p === "boolean") return p ? 1 : 0
  throw malformed("a parameter is no string, number, boolean or null")
}

function malformed(why: string): Refusal {
  return new Refusal(400, Code.d1Malformed, `The request is malformed: ${why}.`)
}

/** Refusals by SQLite name its result code; those of D1 before it are known by their words. */
const REFUSED = /SQLITE_[A-Z]+|^Wrong number of parameter bindings|SQL BEGIN TRANSACTION or SAVEPOINT/

/** Everything but a refusal (overload, reset, a lost connection) may have happened after the commit. */
function refusal(error: unknown): Refusal {
  const message = String(error instanceof Error ? error.message : error).replace(/^D1_[A-Z_]*ERROR: /, "")
  if (REFUSED.test(message)) return new Refusal(400, Code.d1Failed, message)
  if (/overloaded/i.test(message)) return new Refusal(429, Code.d1Failed, message, { "Retry-After": "1" })
  return new Refusal(500, Code.d1Failed, message)
}
