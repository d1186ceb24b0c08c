// What every browser test begins with: a data directory, a server of its own on it, a browser and people with pages.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { launch, live, person, token, visit } from './browser.mjs';
import { api, startServer } from './server.mjs';

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

/** Makes a public room of the first person's, in which all of them are then; returns its id. */
export async function meet(world, name) {
  const [first] = world.people;
  await visit(first, world.server, '/');
  const { id } = await api(world.server, await token(first), 'POST', '/v1/rooms', { name, visibility: 'public' });
  for (const who of world.people) {
    await visit(who, world.server, `/r/${id}`);
    await live(who.page);
  }
  return id;
}
