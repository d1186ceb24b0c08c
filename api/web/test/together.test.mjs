// The main job: two browsers and two clients of the old protocol edit one room with real pictures; the server is killed in the
// middle; afterwards everything that was acknowledged is there, all four resume by themselves, and a rebuild gives the same tables.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { PartySocket } from 'partysocket';
import WebSocket from 'ws';
import { added, elements, fact, give, live, sameAsServer, saved, shot, token, visit } from './lib/browser.mjs';
import { api, eventually, startServer } from './lib/server.mjs';
import { openWorld } from './lib/world.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const PICTURES = ['moochin-simple-characters.jpg', 'maeddes-technology-logos.png'].map((name) => join(here, 'pictures', name));
const room = 'together';
const kanvas = (...args) => execFileSync(process.env.KANVAS_BIN, [...args, '--data', world.data], { encoding: 'utf8' });

/** An old front end: it keeps the canvas from what it is sent, and reconnects by itself. */
class Old {
  canvas = new Map();
  opened = 0;
  constructor(id) {
    this.socket = new PartySocket({ host: world.server.address, party: 'main', room, id, WebSocket, minReconnectionDelay: 50, maxReconnectionDelay: 300 });
    this.socket.addEventListener('open', () => this.opened++);
    this.socket.addEventListener('message', ({ data: text }) => {
      const { type, data: d } = JSON.parse(text);
      if (type === 'sync:full') this.canvas = new Map(d.images.map((e) => [e.id, e]));
      if (type === 'image:add' || type === 'image:update') this.canvas.set(d.id, d);
      if (type === 'image:remove') this.canvas.delete(d.imageId);
    });
  }
  send(type, d) {
    this.canvas.set(d.id, d);
    this.socket.send(JSON.stringify({ type, data: d }));
  }
  shows(what, look) {
    return eventually(what, () => look(this.canvas), 20_000);
  }
}

let world;
let people;
let old;

before(async () => {
  world = await openWorld('together', 'Ada', 'Grace');
  people = world.people;
});

after(async () => {
  for (const client of old ?? []) client.socket.close();
  await world?.close();
});

it('four clients of two protocols go on over a kill -9, and the tables come out the same', { timeout: 180_000 }, async () => {
  const [ada, grace] = people;
  await visit(ada, world.server, '/');
  await api(world.server, await token(ada), 'POST', '/v1/rooms', { id: room, name: 'Together', visibility: 'public' });
  for (const who of people) {
    await visit(who, world.server, `/r/${room}`);
    await live(who.page);
  }
  old = [new Old('old-one'), new Old('old-two')];

  // Real pictures from both sides.
  const [dropped] = await added(ada.page, 1, () => give(ada.page, 'drop', [PICTURES[0]], { x: 300, y: 300 }));
  const url = `data:image/png;base64,${readFileSync(PICTURES[1], 'base64')}`;
  old[0].send('image:add', { id: 'from-old', src: url, x: 600, y: 80, width: 300, height: 200, rotation: 0, keep: { me: [1, 2] } });
  for (const who of people) await fact(who.page, "the old client's picture is an asset", () => window.__kanvas.elements().find((e) => e.id === 'from-old')?.src.startsWith('/v1/assets/'));
  for (const client of old) await client.shows('the picture of the page', (canvas) => canvas.get(dropped)?.src.startsWith('http'));
  const picture = await fetch(old[1].canvas.get(dropped).src);
  assert.equal(picture.status, 200, 'an old client loads it without a token');
  assert.deepEqual(Buffer.from(await picture.arrayBuffer()), readFileSync(PICTURES[0]));

  // Everybody edits, and the server is killed in the middle of it.
  let dead = false;
  const drag = async () => {
    for (let i = 1; !dead; i++) {
      old[1].send('image:update', { ...old[1].canvas.get('from-old'), x: 600 + i });
      await new Promise((resolve) => setTimeout(resolve, 16)); // sixty a second, as the old front end drags
    }
  };
  const dragging = drag();
  for (let i = 0; i < 6; i++) {
    await added(grace.page, 1, () => give(grace.page, 'paste', [PICTURES[i % 2]]));
  }
  await world.server.kill('SIGKILL');
  dead = true;
  await dragging;
  const acknowledged = await Promise.all(people.map(({ page }) => page.evaluate(() => window.__kanvas.revision)));
  old[0].send('image:add', { id: 'while-away', src: 'https://example.com/a.png', x: 5, y: 5, width: 10, height: 10, rotation: 0 });
  const opened = old.map((client) => client.opened);
  world.server = await startServer({ data: world.data, listen: world.server.listen });

  for (const { page } of people) await live(page);
  for (const [i, client] of old.entries()) await eventually('the old client is back', () => client.opened > opened[i], 20_000);
  for (const { page } of people) {
    await saved(page);
    await fact(page, 'what an old client queued while away', () => window.__kanvas.elements().some((e) => e.id === 'while-away'));
  }
  await sameAsServer(world.server, room, people);
  const truth = await elements(ada.page);
  assert.ok(truth.length >= 9, `${truth.length} elements: what was acknowledged before is there`);
  for (const revision of acknowledged) assert.ok((await ada.page.evaluate(() => window.__kanvas.revision)) >= revision);
  assert.deepEqual(truth.find((e) => e.id === 'from-old').keep, { me: [1, 2] }, 'unknown members survive');
  for (const [i, client] of old.entries()) {
    // What the drag left in the old client's queue is committed a moment after it is back.
    await eventually(`old client ${i} shows the pictures of the page, where they are`, async () => {
      const images = (await elements(ada.page)).filter((e) => e.type === 'image');
      return client.canvas.size === images.length && images.every((e) => client.canvas.get(e.id)?.x === e.x);
    }, 20_000).catch(async (error) => {
      const seen = [...client.canvas.values()].map((e) => [e.id, e.x]);
      const shown = (await elements(ada.page)).map((e) => [e.id, e.x]);
      throw new Error(`${error.message}\nold client: ${JSON.stringify(seen)}\npage: ${JSON.stringify(shown)}`);
    });
  }
  await sameAsServer(world.server, room, people);
  await shot(ada.page, 'together');

  assert.match(kanvas('verify'), /\nsound\n/);
  assert.match(kanvas('rebuild'), /the same rows as before/);
  for (const who of people) assert.deepEqual(who.problems, []);
});
