// Pictures as sharp as they are seen: smaller ones from the server while they are far away, the original near by, nothing in between that flickers.
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { added, fact, live, saved, shot, token, visit } from './lib/browser.mjs';
import { api, eventually } from './lib/server.mjs';
import { openWorld } from './lib/world.mjs';

let world;
let ada;
let room;
let id;
let src;

/** Sizes that were asked for: a number, or 'original'. */
const asked = [];

before(async () => {
  world = await openWorld('zoom', 'Ada Lovelace');
  [ada] = world.people;
  await visit(ada, world.server, '/');
  room = (await api(world.server, await token(ada), 'POST', '/v1/rooms', { name: 'Contact sheet', visibility: 'private' })).id;
  await visit(ada, world.server, `/r/${room}`);
  await live(ada.page);
});

after(() => world?.close());

const dropGradient = (page) =>
  page.evaluate(async () => {
    const canvas = new OffscreenCanvas(3000, 2000);
    const context = canvas.getContext('2d');
    const paint = context.createLinearGradient(0, 0, 3000, 2000);
    [['#d9480f', 0], ['#ffd43b', 0.4], ['#1c7ed6', 1]].forEach(([color, at]) => paint.addColorStop(at, color));
    context.fillStyle = paint;
    context.fillRect(0, 0, 3000, 2000);
    for (let i = 0; i < 400; i++) context.strokeRect((i * 97) % 3000, (i * 61) % 2000, 140, 90);
    const blob = await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.95 });
    const data = new DataTransfer();
    data.items.add(new File([blob], 'gradient.jpg', { type: 'image/jpeg' }));
    document.querySelector('[data-testid=stage]').dispatchEvent(new DragEvent('drop', { dataTransfer: data, clientX: 640, clientY: 400, bubbles: true, cancelable: true }));
  });

const state = () => ada.page.evaluate((src) => window.__kanvas.pictureState(src), src);
const sharp = (level) => fact(ada.page, `held at ${level}`, ({ src, level }) => window.__kanvas.pictureState(src).level === level && window.__kanvas.pictureState(src), { src, level });

/** Zooms by the wheel until the scale is about this. */
async function zoomTo(scale) {
  await ada.page.mouse.move(640, 400);
  await ada.page.keyboard.down('Control');
  for (let i = 0; i < 200; i++) {
    const now = await ada.page.evaluate(() => window.__kanvas.viewport.scale);
    if (Math.abs(Math.log(now / scale)) < 0.12) break;
    await ada.page.mouse.wheel(0, now < scale ? -25 : 25);
  }
  await ada.page.keyboard.up('Control');
}

it('asks for the smaller picture where that is enough, and for the original near by', { timeout: 90_000 }, async () => {
  [id] = await added(ada.page, 1, () => dropGradient(ada.page));
  src = await fact(ada.page, 'it is stored', (id) => {
    const { src } = window.__kanvas.elements().find((e) => e.id === id);
    return src.startsWith('/v1/assets/') && src;
  }, id);
  await saved(ada.page);
  await eventually('the smaller ones are made', async () => {
    const { assets } = await api(world.server, await token(ada), 'GET', `/v1/rooms/${room}/assets`);
    return assets[0]?.variants?.['256'] && assets[0].variants['1024'];
  });
  ada.page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.pathname === src) asked.push(url.searchParams.get('size') ?? 'original');
  });
  await ada.page.reload();
  await live(ada.page);
  assert.equal((await sharp(1024)).pixels, 1024);
  assert.deepEqual(asked, ['1024'], 'it fills half of the screen');
  await zoomTo(0.2);
  assert.equal((await sharp(256)).pixels, 256);
  await zoomTo(0.06);
  assert.equal((await sharp(64)).pixels, 64);
  assert.ok(!asked.includes('original'));
  await zoomTo(5);
  assert.equal((await sharp(4096)).pixels, 3000, 'all that there is');
  assert.ok(asked.includes('original'));
  await shot(ada.page, 'zoom-near');
});

it('shows a blur of it, which comes with the element, until the picture is there', async () => {
  let release;
  const held = new Promise((resolve) => (release = resolve));
  const other = await ada.context.newPage();
  await other.route('**/v1/assets/**', async (route) => {
    await held;
    await route.continue();
  });
  await other.goto(ada.page.url());
  await live(other);
  await fact(other, 'the blur is there', (src) => window.__kanvas.pictureState(src).blur, src);
  assert.equal(await other.evaluate((src) => window.__kanvas.pictureShown(src), src), false);
  await shot(other, 'zoom-blur');
  // Another one, of which nothing smaller was made when it was shown: the blur comes as soon as there is one.
  const [second] = await added(ada.page, 1, () => dropGradient(ada.page));
  const fresh = await fact(other, 'it is shown here too', (id) => window.__kanvas.elements().find((e) => e.id === id)?.src, second);
  await fact(other, 'its blur has come', (src) => window.__kanvas.pictureState(src).blur, fresh);
  release();
  await fact(other, 'and then the picture', (src) => window.__kanvas.pictureShown(src), src);
  await other.close();
});

it('shows a picture all the time while a sharper one comes', async () => {
  await zoomTo(0.2);
  await sharp(256);
  let release;
  const held = new Promise((resolve) => (release = resolve));
  await ada.page.route(`**${src}*`, async (route) => {
    await held;
    await route.continue();
  });
  await zoomTo(1.5);
  assert.equal((await state()).level, 256, 'the one before is drawn meanwhile');
  release();
  await fact(ada.page, 'the sharper one took its place', (src) => window.__kanvas.pictureState(src).level > 256, src);
  await ada.page.unrouteAll({ behavior: 'ignoreErrors' });
  assert.deepEqual(ada.problems, []);
});

it('moves a crowd of elements with the view, and draws them where they belong once it rests', async () => {
  const crowded = (await api(world.server, await token(ada), 'POST', '/v1/rooms', { name: 'Crowd', visibility: 'private' })).id;
  const commands = Array.from({ length: 400 }, (_, n) => ({
    command: 'element.add', data: { element: { id: `r${n}`, type: 'shape', shape: 'rect', x: (n % 20) * 60, y: Math.floor(n / 20) * 40, width: 40, height: 24, rotation: 0, fill: '#e5484d', stroke: '#e5484d', strokeWidth: 1 } },
  }));
  await api(world.server, await token(ada), 'POST', `/v1/rooms/${crowded}/commands`, { commands });
  const { page } = ada;
  await visit(ada, world.server, `/r/${crowded}`);
  await live(page);
  await fact(page, 'all are there', () => window.__kanvas.elements().length === 400);
  // The canvas is where the view is whenever it was moved, also between two drawings; and at rest it is drawn anew.
  await page.evaluate(() => {
    const canvas = document.querySelector('[data-testid=stage] canvas');
    window.__moved = 0;
    new MutationObserver(() => canvas.style.transform !== '' && window.__moved++).observe(canvas, { attributes: true, attributeFilter: ['style'] });
  });
  await page.mouse.move(640, 400);
  const from = await page.evaluate(() => window.__kanvas.viewport);
  for (let i = 0; i < 30; i++) await page.mouse.wheel(7, 5);
  await fact(page, 'it was moved', (from) => window.__kanvas.viewport.x < from.x - 50 && window.__moved > 0, from);
  await fact(page, 'it is drawn again', () => document.querySelector('[data-testid=stage] canvas').style.transform === '');
  const wrong = await page.evaluate(() => {
    const canvas = document.querySelector('[data-testid=stage] canvas');
    const ratio = canvas.width / canvas.clientWidth;
    return window.__kanvas.elements().filter((e) => {
      const p = window.__kanvas.toScreen(e.x + e.width / 2, e.y + e.height / 2);
      if (p.x < 0 || p.y < 0 || p.x >= innerWidth || p.y >= innerHeight) return false;
      const [r, g, b] = canvas.getContext('2d').getImageData(p.x * ratio, p.y * ratio, 1, 1).data;
      return Math.abs(r - 0xe5) + Math.abs(g - 0x48) + Math.abs(b - 0x4d) > 12;
    }).map((e) => e.id);
  });
  assert.deepEqual(wrong, [], 'every rectangle is drawn where it is');
  assert.deepEqual(ada.problems, []);
});
