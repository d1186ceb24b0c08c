// What every browser test begins with: a data directory, a server of its own on it, a browser and people with pages.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { launch, person } from './browser.mjs';
import { startServer } from './server.mjs';

/** `server` may be put in place by another one on the same data: `close` ends the one that is there then. */
export async function openWorld(name, ...names) {
  return openWorldWith({}, name, ...names);
}

/** The same with settings of the server's, as environment variables. */
export async function openWorldWith(env, name, ...names) {
  const data = mkdtempSync(join(tmpdir(), `kanvas-${name}-`));
  const world = { data, server: await startServer({ data, env }), browser: await launch(), people: [] };
  for (const who of names) world.people.push(await person(world.browser, who));
  world.close = async () => {
    await world.browser.close();
    await world.server.kill('SIGTERM');
    rmSync(data, { recursive: true, force: true });
  };
  return world;
}
