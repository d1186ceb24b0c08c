// Bundles the Worker as `wrangler deploy` does, for the tests, which run it on workerd without wrangler.
import { fileURLToPath } from "node:url"
import { build } from "esbuild"

/** Returns the Worker as one ES module. */
export async function bundle() {
  const out = await build({
    entryPoints: [fileURLToPath(new URL("src/worker.ts", import.meta.url))],
    bundle: true, write: false, format: "esm", target: "es2022", conditions: ["workerd", "worker"], external: ["cloudflare:*"], logLevel: "silent",
  })
  return out.outputFiles[0].text
}
