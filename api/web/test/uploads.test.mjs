// Files on their way to the server: shown at once, sent in parts, resumed, cancelled, refused; in a real browser against the real server.
import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { after, afterEach, before, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { added, dragMouse, dropNoise, element, elements, fact, give, has, live, middle, sameAsServer, saved, shot, status } from './lib/browser.mjs';
import { eventually } from './lib/server.mjs';
import { meet, openWorldWith } from './lib/world.mjs';

const PICTURE = join(dirname(fileURLToPath(import.meta.url)), 'pictures', 'moochin-simple-characters.jpg');
const QUOTA = 64 * 1024 * 1024;
/** Bytes of a part of an upload. */
const PART = 8 * 1024 * 1024;

let world;
let ada;
let grace;
let room;

before(async () => {
  world = await openWorldWith({ KANVAS_QUOTA: String(QUOTA) }, 'uploads', 'Ada Lovelace', 'Grace Hopper');
  [ada, grace] = world.people;
  room = await meet(world, 'Darkroom');
});

after(() => world?.close());

afterEach(() => ada.page.unrouteAll({ behavior: 'ignoreErrors' }));

const stored = (page, id) => fact(page, 'the file is stored', (id) => window.__kanvas.elements().find((e) => e.id === id)?.src.startsWith('/v1/assets/') && window.__kanvas.elements().find((e) => e.id === id), id);

it('a picture is shown at once, can be moved while it is sent, and then everybody has it', async () => {
  let release;
  const held = new Promise((resolve) => (release = resolve));
  await ada.page.route('**/v1/uploads/**', async (route) => {
    await held;
    await route.continue();
  });
  const [id] = await added(ada.page, 1, () => give(ada.page, 'drop', [PICTURE], { x: 500, y: 400 }));
  const badge = ada.page.getByTestId('badge');
  await badge.waitFor();
  const { src } = await element(ada.page, id);
  await fact(ada.page, 'the picture itself is drawn', (src) => window.__kanvas.pictureShown(src), src);
  assert.equal(await status(ada.page), 'sending 1 file…', 'nobody is told that it is saved');
  assert.equal(await element(grace.page, id), undefined);
  const before = await element(ada.page, id);
  const m = await middle(ada.page, id);
  await dragMouse(ada.page, { x: m.x, y: m.y - 60 }, { x: m.x + 80, y: m.y });
  const moved = await element(ada.page, id);
  assert.ok(moved.x > before.x + 50, 'the draft was moved');
  await shot(ada.page, 'upload-sending');
  release();
  await stored(ada.page, id);
  const seen = await has(grace.page, id);
  assert.deepEqual([seen.x, seen.y], [moved.x, moved.y]);
  await saved(ada.page);
  assert.equal(await badge.count(), 0);
  assert.deepEqual(await ada.page.evaluate(() => window.__kanvas.selection), [id], 'it stayed selected');
  await fact(grace.page, 'the other one sees it', (src) => window.__kanvas.pictureShown(src), seen.src);
  await ada.page.keyboard.press('Control+z');
  await fact(grace.page, 'one step of undo takes it back', (id) => !window.__kanvas.elements().some((e) => e.id === id), id);
  await sameAsServer(world.server, room, [ada, grace]);
});

it('a large one goes in parts, and after a lost network and a reload only what is missing is sent', { timeout: 120_000 }, async () => {
  const parts = [];
  let passes = 2;
  const route = async (route) => {
    const number = Number(/uploads\/[^/]+\/(\d+)/.exec(route.request().url())[1]);
    if (passes-- <= 0) return route.abort('internetdisconnected');
    const response = await route.fetch();
    parts.push(number);
    return route.fulfill({ response });
  };
  await ada.page.route('**/v1/uploads/**', route);
  let bytes;
  const [id] = await added(ada.page, 1, async () => (bytes = await dropNoise(ada.page, 3000, 'noise.png')));
  assert.ok(bytes > 3 * PART, `${bytes} bytes are more than three parts`);
  await eventually('two parts are there', () => parts.length === 2);
  await ada.page.getByTestId('badge').getByText(/waiting: /).waitFor();
  const first = [...parts];
  passes = 0;
  await ada.page.reload();
  await fact(ada.page, 'the draft is there again', (id) => window.__kanvas?.elements().some((e) => e.id === id), id);
  assert.match((await element(ada.page, id)).src, /^upload:/);
  assert.equal(await element(grace.page, id), undefined);
  await shot(ada.page, 'upload-resumed');
  passes = 1000;
  const shown = await stored(ada.page, id);
  assert.equal(parts.length, Math.ceil(bytes / PART), `every part was sent once: ${parts}`);
  assert.equal(new Set(parts).size, parts.length, `what was there was not sent again: ${first} and then ${parts}`);
  await has(grace.page, id);
  const picture = await fetch(world.server.url + shown.src);
  assert.equal((await picture.arrayBuffer()).byteLength, bytes);
  await saved(ada.page);
});

it('goes on by itself when the store is away for a while', async () => {
  let failures = 2;
  await ada.page.route('**/v1/uploads/**', (route) => (failures-- > 0 ? route.fulfill({ status: 503, contentType: 'application/problem+json', body: '{"code":"read_only","detail":"the store is away"}' }) : route.continue()));
  const [id] = await added(ada.page, 1, () => give(ada.page, 'paste', [PICTURE]));
  await ada.page.getByTestId('badge').getByText('waiting: the store is away').waitFor();
  await stored(ada.page, id);
  await has(grace.page, id);
  await saved(ada.page);
});

it('goes on when its room is left for the list of rooms', async () => {
  let release;
  const held = new Promise((resolve) => (release = resolve));
  await ada.page.route('**/v1/uploads/**', async (route) => {
    await held;
    await route.continue();
  });
  const [id] = await added(ada.page, 1, () => give(ada.page, 'paste', [PICTURE]));
  await ada.page.getByTestId('badge').waitFor();
  await ada.page.getByTestId('home').click();
  await ada.page.getByTestId('new-room').waitFor();
  assert.equal(await element(grace.page, id), undefined);
  release();
  await has(grace.page, id);
  await ada.page.goBack();
  await live(ada.page);
  await has(ada.page, id);
  await saved(ada.page);
});

it('can be cancelled, and leaves nothing behind', async () => {
  await ada.page.route('**/v1/uploads/**', () => undefined); // never answered
  const asked = ada.page.waitForResponse((r) => r.url().endsWith('/v1/assets') && r.request().method() === 'POST');
  const [id] = await added(ada.page, 1, () => give(ada.page, 'drop', [PICTURE], { x: 640, y: 420 }));
  const { asset } = await (await asked).json();
  const gone = ada.page.waitForResponse((r) => r.url().endsWith(asset.id) && r.request().method() === 'DELETE');
  await ada.page.getByTestId('upload-cancel').click();
  await fact(ada.page, 'the draft is gone', (id) => !window.__kanvas.elements().some((e) => e.id === id), id);
  assert.equal((await gone).status(), 204);
  await saved(ada.page);
  await ada.page.reload();
  await live(ada.page);
  assert.equal(await element(ada.page, id), undefined);
  assert.deepEqual(await ada.page.evaluate(() => window.__kanvas.uploads), []);
});

it('says on the element why it was refused, and sends it again where there is room', { timeout: 120_000 }, async () => {
  const [id] = await added(ada.page, 1, () => dropNoise(ada.page, 4000, 'large.png'));
  const badge = ada.page.getByTestId('badge');
  await badge.getByText(/more than you may keep/).waitFor();
  assert.equal(await status(ada.page), '1 file not sent');
  await shot(ada.page, 'upload-refused');
  await ada.page.getByTestId('upload-retry').click();
  await badge.getByText(/more than you may keep/).waitFor();
  assert.ok(await element(ada.page, id));
  await ada.page.getByTestId('upload-cancel').click();
  await fact(ada.page, 'the draft is gone', (id) => !window.__kanvas.elements().some((e) => e.id === id), id);
  await saved(ada.page);

  await ada.page.evaluate(() => {
    const data = new DataTransfer();
    data.items.add(new File(['no picture'], 'liar.png', { type: 'image/png' }));
    document.querySelector('[data-testid=stage]').dispatchEvent(new DragEvent('drop', { dataTransfer: data, clientX: 500, clientY: 400, bubbles: true, cancelable: true }));
  });
  await ada.page.getByTestId('toasts').getByText('liar.png: This picture can not be decoded').waitFor();
});

it('ends with what the server has, in every page, and nothing went wrong unseen', async () => {
  await sameAsServer(world.server, room, [ada, grace]);
  assert.ok((await elements(ada.page)).length >= 2);
  assert.deepEqual([...ada.problems, ...grace.problems], []);
});
