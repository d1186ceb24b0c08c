// A large picture on its way from the browser to the store, in parts: to this server, or by signed addresses straight to an S3 store where the tests run on one.
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { added, dropNoise, fact, sameAsServer, saved } from './lib/browser.mjs';
import { meet, openWorld } from './lib/world.mjs';

let world;
let room;

before(async () => {
  world = await openWorld('large', 'Ada Lovelace', 'Grace Hopper');
  room = await meet(world, 'Large');
});

after(() => world?.close());

it('arrives whole', { timeout: 120_000 }, async () => {
  const [ada, grace] = world.people;
  const to = new Set();
  let answered = 0;
  ada.page.on('response', (response) => {
    if (response.request().method() !== 'PUT' || !response.ok()) return;
    to.add(new URL(response.url()).origin);
    answered++;
  });
  let bytes;
  const [id] = await added(ada.page, 1, async () => (bytes = await dropNoise(ada.page, 2600, 'noise.png')));
  const src = await fact(ada.page, 'it is stored', (id) => {
    const e = window.__kanvas.elements().find((e) => e.id === id);
    return e?.src.startsWith('/v1/assets/') && e.src;
  }, id, 60_000);
  await saved(ada.page);
  assert.equal(answered, Math.ceil(bytes / (8 * 1024 * 1024)), 'in parts');
  assert.deepEqual([...to].map((origin) => origin === world.server.url), [process.env.KANVAS_FRONT === undefined], 'where a store of its own is, straight to it');
  await fact(grace.page, 'the other one sees it', (src) => window.__kanvas.pictureShown(src), src, 60_000);
  assert.equal((await (await fetch(world.server.url + src)).arrayBuffer()).byteLength, bytes);
  await sameAsServer(world.server, room, [ada, grace]);
  assert.deepEqual([...ada.problems, ...grace.problems], []);
});
