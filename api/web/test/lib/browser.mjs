// A headless Chromium and what tests do with the page in it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { chromium } from 'playwright-core';
import { api } from './server.mjs';

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

export const screenshots = process.env.SCREENSHOTS || mkdtempSync(join(tmpdir(), 'kanvas-screenshots-'));
mkdirSync(screenshots, { recursive: true });

export function launch() {
  const executablePath = process.env.CHROMIUM || execFileSync('sh', ['-c', 'command -v chromium || command -v google-chrome'], { encoding: 'utf8' }).trim();
  return chromium.launch({ executablePath, args: FLAGS });
}

/** A person: a browser context of its own, with the page's problems collected. */
export async function person(browser, name, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const problems = [];
  context.on('weberror', (error) => problems.push(`${name}: ${error.error().stack}`));
  context.on('console', (message) => {
    // A server that is away is part of these tests; everything else that lands here is a defect.
    const expected = /ERR_CONNECTION|ERR_EMPTY_RESPONSE|ERR_SOCKET|WebSocket connection to|Failed to load resource/;
    if (message.type() === 'error' && !expected.test(message.text())) problems.push(`${name}: ${message.text()}`);
  });
  const page = await context.newPage();
  return { name, context, page, problems };
}

/** Goes to a path and answers the question for a name where it is asked. */
export async function visit(who, server, path) {
  await who.page.goto(server.url + path);
  await giveName(who);
}

export async function giveName({ page, name }) {
  const field = page.getByTestId('name-input');
  await page.waitForFunction(() => document.querySelector('[data-testid=name-input], [data-testid=my-name], [data-testid=status], [data-testid=room-problem]'));
  if (!(await field.isVisible())) return;
  await field.fill(name);
  await page.getByTestId('name-submit').click();
  await field.waitFor({ state: 'detached' });
}

/** Waits until a function of the page's hooks (window.__kanvas) is truthy, and returns what it gave. */
export async function fact(page, what, look, arg, timeout = 20_000) {
  try {
    const handle = await page.waitForFunction(look, arg, { timeout, polling: 30 });
    return await handle.jsonValue();
  } catch (error) {
    const state = await page.evaluate(() => window.__kanvas && { status: window.__kanvas.status, revision: window.__kanvas.revision, elements: window.__kanvas.elements() });
    throw new Error(`${what}: ${error.message}\nthe page: ${JSON.stringify(state)?.slice(0, 2000)}`);
  }
}

export const elements = (page) => page.evaluate(() => window.__kanvas.elements());
export const element = async (page, id) => (await elements(page)).find((e) => e.id === id);
export const status = (page) => page.getByTestId('status-text').innerText();
export const saved = (page) => fact(page, 'everything is saved', () => window.__kanvas.status.kind === 'saved' && window.__kanvas.waiting === 0 && window.__kanvas.status.text);
export const live = (page) => fact(page, 'the room is live', () => window.__kanvas?.socket === 'live' && window.__kanvas.status.kind === 'saved');
export const has = (page, id) => fact(page, `element ${id} is there`, (id) => window.__kanvas.elements().find((e) => e.id === id), id);
export const shot = (page, name) => page.screenshot({ path: join(screenshots, `${name}.png`) });

/** Waits until what was changed is drawn: what is pressed on the canvas is found by its last drawing. */
export const drawn = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));

/** Presses the mouse at a, moves it to b in steps, and lets go unless `hold`. Screen coordinates. */
export async function dragMouse(page, a, b, { steps = 8, hold = false } = {}) {
  await page.mouse.move(a.x, a.y);
  await page.mouse.down();
  await page.mouse.move(b.x, b.y, { steps });
  if (!hold) await page.mouse.up();
}

/** Middle of an unturned element, on the screen. */
export async function middle(page, id) {
  const e = await element(page, id);
  return page.evaluate(({ x, y }) => window.__kanvas.toScreen(x, y), { x: e.x + e.width / 2, y: e.y + e.height / 2 });
}

const mime = (path) => (path.endsWith('.png') ? 'image/png' : 'image/jpeg');

/** Drops or pastes files as the system would. */
export async function give(page, kind, paths, at) {
  const files = paths.map((path) => ({ name: basename(path), type: mime(path), base64: readFileSync(path, 'base64') }));
  await page.evaluate(
    ({ kind, files, at }) => {
      const data = new DataTransfer();
      for (const file of files) {
        const bytes = Uint8Array.from(atob(file.base64), (c) => c.charCodeAt(0));
        data.items.add(new File([bytes], file.name, { type: file.type }));
      }
      const stage = document.querySelector('[data-testid=stage]');
      if (kind === 'paste') document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }));
      else stage.dispatchEvent(new DragEvent('drop', { dataTransfer: data, clientX: at.x, clientY: at.y, bubbles: true, cancelable: true }));
    },
    { kind, files, at },
  );
}

/** Drops a picture of noise, which does not compress: about three bytes a pixel. Returns the size of its file. */
export const dropNoise = (page, side, name) =>
  page.evaluate(async ({ side, name }) => {
    const canvas = new OffscreenCanvas(side, side);
    const context = canvas.getContext('2d');
    const noise = context.createImageData(side, side);
    const words = new Uint32Array(noise.data.buffer);
    for (let i = 0, x = 1; i < words.length; i++) {
      x ^= x << 13;
      x ^= x >>> 17;
      x ^= x << 5;
      words[i] = x | 0xff000000;
    }
    context.putImageData(noise, 0, 0);
    const blob = await canvas.convertToBlob({ type: 'image/png' });
    const data = new DataTransfer();
    data.items.add(new File([blob], name, { type: 'image/png' }));
    document.querySelector('[data-testid=stage]').dispatchEvent(new DragEvent('drop', { dataTransfer: data, clientX: 640, clientY: 420, bubbles: true, cancelable: true }));
    return blob.size;
  }, { side, name });

/** Runs an action that adds elements and returns their ids. */
export async function added(page, count, action) {
  const before = (await elements(page)).map((e) => e.id);
  await action();
  return fact(page, `${count} new elements`, ({ before, count }) => {
    const fresh = window.__kanvas.elements().map((e) => e.id).filter((id) => !before.includes(id));
    return fresh.length === count && fresh;
  }, { before, count });
}

export const token = ({ page }) => page.evaluate(() => JSON.parse(localStorage.getItem('kanvas.identity')).token);

/** Everything is saved, and every page shows exactly what the server has. */
export async function sameAsServer(server, room, people) {
  for (const { page } of people) await saved(page);
  const truth = await api(server, await token(people[0]), 'GET', `/v1/rooms/${room}/canvas`);
  for (const { page, name } of people) {
    await fact(page, `${name} is at revision ${truth.revision}`, (r) => window.__kanvas.revision >= r, truth.revision);
    assert.deepEqual(await elements(page), truth.elements, `${name} shows what the server has`);
  }
}

/** Reloads the person's page with a socket that the test can cut and mend. */
export async function cuttable({ page }) {
  const open = new Set();
  let blocked = false;
  await page.routeWebSocket(/\/ws$/, (socket) => {
    if (blocked) return void socket.close({ code: 1001 });
    socket.connectToServer();
    open.add(socket);
  });
  await page.reload();
  await live(page);
  return {
    async off() {
      blocked = true;
      await Promise.all([...open].map((socket) => socket.close({ code: 1001 })));
      open.clear();
    },
    async on() {
      blocked = false;
      await page.evaluate(() => window.dispatchEvent(new Event('online')));
    },
  };
}
