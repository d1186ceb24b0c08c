// Runs the Worker on workerd for the Go tests. It reads one line of JSON with what to run, prints one line with the addresses, then takes
// lines that say what to do to one of the Workers, and answers each with a line. It ends when its input ends, so that no test leaves it behind.
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { Log, LogLevel, Miniflare, convertV4MiniflareOptions } from "miniflare"
import { bundle } from "../build.mjs"

const input = createInterface({ input: process.stdin })
const lines = input[Symbol.asyncIterator]()
const say = (message) => process.stdout.write(JSON.stringify(message) + "\n")
const note = (line) => process.stderr.write(line + "\n")
const read = async () => {
  const { done, value } = await lines.next()
  return done ? undefined : JSON.parse(value)
}

/** Standard output is for answers alone. */
class Notes extends Log {
  log(message) {
    note(message)
  }
}

/** Makes one Worker's namespaces as good as new. */
async function reset(mf, worker) {
  const cache = await mf.getKVNamespace("KANVAS_CACHE", worker.name)
  for (let cursor; ;) {
    const page = await cache.list({ cursor })
    await Promise.all(page.keys.map((key) => cache.delete(key.name)))
    if (page.list_complete) break
    cursor = page.cursor
  }
  const images = await mf.getR2Bucket("KANVAS_IMAGES", worker.name)
  for (let page; !page || page.truncated;) {
    page = await images.list({ cursor: page?.cursor })
    if (page.objects.length > 0) await images.delete(page.objects.map((o) => o.key))
  }
  const db = await mf.getD1Database("KANVAS_DB", worker.name)
  const { results } = await db.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_cf_%'").all()
  if (results.length > 0) {
    await db.batch([db.prepare("PRAGMA defer_foreign_keys = on"), ...results.map((t) => db.prepare(`DROP TABLE "${t.name}"`))])
  }
}

const config = await read()
const dir = config.dir || (await mkdtemp(join(tmpdir(), "kanvas-edge-")))
const script = await bundle()
const mf = new Miniflare(convertV4MiniflareOptions({
  host: "127.0.0.1",
  port: 0,
  cf: false,
  telemetry: { enabled: false },
  log: new Notes(LogLevel.WARN),
  handleStructuredLogs: ({ level, message }) => note(`${level}: ${message}`),
  resourcePersistencePath: dir,
  workers: config.workers.map((w) => ({
    name: w.name,
    modules: true,
    script,
    compatibilityDate: config.compatibilityDate,
    unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
    stripCfConnectingIp: false,
    bindings: w.vars,
    d1Databases: { KANVAS_DB: w.database },
    kvNamespaces: { KANVAS_CACHE: w.namespace },
    r2Buckets: { KANVAS_IMAGES: { id: w.bucket, s3Credentials: w.s3 } },
  })),
}))
const entry = await mf.ready
const urls = {}
for (const w of config.workers) urls[w.name] = (await mf.unsafeGetDirectURL(w.name)).origin
say({ entry: entry.origin, urls, dir })

for (let command; (command = await read());) {
  const worker = config.workers.find((w) => w.name === command.worker)
  try {
    if (command.put) await (await mf.getR2Bucket("KANVAS_IMAGES", worker.name)).put(command.put, Buffer.from(command.base64 ?? "", "base64"), { httpMetadata: { contentType: command.type } })
    else await reset(mf, worker)
    say({ ok: true })
  } catch (error) {
    say({ error: String(error) })
  }
}
await mf.dispose()
if (!config.dir) await rm(dir, { recursive: true, force: true })
