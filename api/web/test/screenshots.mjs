// Makes the pictures of the README, screenshots/{list,room}.png, from a real server and two real pages: `npm run screenshots`.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { added, dragMouse, elements, fact, give, launch, live, middle, person, saved, visit } from './lib/browser.mjs';
import { api, eventually, startServer } from './lib/server.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const out = process.env.SCREENSHOTS || join(here, '..', 'screenshots');
const PICTURES = ['moochin-simple-characters.jpg', 'maeddes-technology-logos.png'].map((name) => join(here, 'pictures', name));
const ROOMS = ['Kitchen rebuild', 'Sprint 14 retro', 'Characters for chapter two', 'Cloud migration', 'Poster ideas'];

const data = mkdtempSync(join(tmpdir(), 'kanvas-shots-'));
const server = await startServer({ data });
const browser = await launch();
try {
  const options = { viewport: { width: 1280, height: 800 }, colorScheme: process.env.SCHEME || 'light' };
  const ada = await person(browser, 'Ada Lovelace', options);
  const grace = await person(browser, 'Grace Hopper', options);
  await visit(ada, server, '/');
  // People get one of a few colours by chance; two alike would not look like two people.
  do {
    await grace.page.goto(server.url);
    await grace.page.evaluate(() => localStorage.clear());
    await visit(grace, server, '/');
  } while ((await colour(grace)) === (await colour(ada)));
  const token = await ada.page.evaluate(() => JSON.parse(localStorage.getItem('kanvas.identity')).token);
  for (const name of ROOMS) await api(server, token, 'POST', '/v1/rooms', { name, visibility: 'public' });
  const room = await api(server, token, 'POST', '/v1/rooms', { name: 'Launch plan', description: 'What we ship in spring, and who draws it', visibility: 'public' });
  for (const who of [ada, grace]) {
    await visit(who, server, `/r/${room.id}`);
    await live(who.page);
  }
  await draw(ada.page, grace.page);
  await ada.page.screenshot({ path: join(out, 'room.png') });
  const list = await ada.context.newPage();
  await list.goto(server.url);
  await eventually('the list shows who is here', async () => {
    if ((await list.getByTestId('room-card').count()) > ROOMS.length && (await list.getByText('2 here now').count()) > 0) return true;
    await list.reload();
    await list.waitForFunction(() => document.querySelector('.rooms')?.childElementCount > 0);
    return false;
  });
  await list.screenshot({ path: join(out, 'list.png') });
  console.log(`made ${out}/room.png and list.png`);
} catch (error) {
  await Promise.all(browser.contexts().flatMap((c, i) => c.pages().map((p) => p.screenshot({ path: join(out, `failed-${i}.png`) }))));
  throw error;
} finally {
  await browser.close();
  await server.kill('SIGTERM');
  rmSync(data, { recursive: true, force: true });
}

function colour({ page }) {
  return page.evaluate(() => JSON.parse(localStorage.getItem('kanvas.identity')).user.color);
}

async function write(page, at, text, size) {
  await page.keyboard.press('t');
  if (size) await page.getByLabel(`Text size ${size}`, { exact: true }).click();
  await page.mouse.click(at.x, at.y);
  await page.getByTestId('text-field').pressSequentially(text);
  await added(page, 1, () => page.keyboard.press('Escape'));
  await page.keyboard.press('Escape');
}

async function note(page, from, text, fill) {
  await page.keyboard.press('n');
  const [id] = await added(page, 1, () => dragMouse(page, from, { x: from.x + 130, y: from.y + 130 }));
  await page.getByTestId('text-field').pressSequentially(text);
  await page.keyboard.press('Escape');
  if (fill) await page.getByTestId(`fill-${fill}`).click();
  await page.keyboard.press('Escape');
  return id;
}

async function shape(page, key, from, to, testids = []) {
  await page.keyboard.press(key);
  for (const id of testids) await page.getByTestId(id).click();
  await added(page, 1, () => dragMouse(page, from, to));
  await page.keyboard.press('Escape');
}

async function draw(ada, grace) {
  await write(ada, { x: 260, y: 110 }, 'Spring launch', 'XL');
  const [logos] = await added(ada, 1, () => give(ada, 'drop', [PICTURES[1]], { x: 550, y: 340 }));
  const e = (await elements(ada)).find((x) => x.id === logos);
  const corner = await ada.evaluate(({ x, y }) => window.__kanvas.toScreen(x, y), { x: e.x + e.width, y: e.y + e.height });
  await dragMouse(ada, { x: corner.x + 4, y: corner.y + 4 }, { x: corner.x - 96, y: corner.y - 44 });
  await ada.keyboard.press('Escape');
  await note(ada, { x: 770, y: 480 }, 'Sync that survives kill -9');
  await note(ada, { x: 915, y: 500 }, 'Old clients keep working', '#b2f2bb');
  await shape(ada, 'a', { x: 762, y: 540 }, { x: 720, y: 540 }, ['stroke-#e5484d']);
  await shape(ada, 'r', { x: 266, y: 500 }, { x: 436, y: 576 }, ['stroke-#1c7ed6', 'fill-#a5d8ff']);
  await shape(ada, 'o', { x: 546, y: 496 }, { x: 710, y: 580 }, ['stroke-#5b5bf0', 'fill-#d0bfff']);
  await shape(ada, 'a', { x: 446, y: 538 }, { x: 536, y: 538 }, ['stroke-#1e1e24']);
  await write(ada, { x: 308, y: 538 }, 'Decide', 'M');
  await write(ada, { x: 586, y: 538 }, 'Evolve');
  await ada.keyboard.press('p');
  await ada.getByTestId('stroke-#f08c00').click();
  await ada.mouse.move(262, 168);
  await ada.mouse.down();
  for (let i = 1; i <= 40; i++) await ada.mouse.move(262 + i * 10, 166 + Math.sin(i / 2.2) * 5);
  await ada.mouse.up();
  await ada.keyboard.press('Escape');
  await added(ada, 1, () => give(ada, 'drop', [PICTURES[0]], { x: 945, y: 270 }));
  await ada.keyboard.press('Escape');
  await ada.getByTestId('chat-toggle').click();
  await say(ada, 'The logos are in, who has the characters?');
  await fact(grace, 'all pictures', () => {
    const pictures = window.__kanvas.elements().filter((e) => e.type === 'image');
    return pictures.length === 2 && pictures.every((e) => window.__kanvas.pictureShown(e.src));
  });
  await grace.getByTestId('chat-toggle').click();
  await say(grace, 'Dropped them next to the flow. Moving the green note up now.');
  await say(ada, 'Perfect. Shipping on Friday then.');
  await grace.getByTestId('message').filter({ hasText: 'Shipping on Friday' }).waitFor();
  const green = (await elements(grace)).find((e) => e.text === 'Old clients keep working');
  const p = await middle(grace, green.id);
  await grace.getByTestId('chat-toggle').click();
  await dragMouse(grace, p, { x: p.x + 30, y: p.y - 16 });
  await grace.mouse.move(p.x - 40, p.y + 96, { steps: 6 });
  await saved(grace);
  await fact(ada, 'the move and the cursor', ({ id, x }) => window.__kanvas.elements().find((e) => e.id === id).x > x && Object.keys(window.__kanvas.cursors()).length > 0, { id: green.id, x: green.x + 20 });
  const blue = (await elements(ada)).find((x) => x.fill === '#a5d8ff');
  await ada.getByLabel('Zoom out', { exact: true }).click();
  await ada.mouse.move(640, 640);
  await ada.mouse.wheel(70, 1);
  const b = await middle(ada, blue.id);
  await ada.mouse.click(b.x - 55, b.y + 22);
  await fact(ada, 'selected', () => window.__kanvas.selection.length === 1);
  // The cursor and the note glide to their places.
  await ada.evaluate(() => new Promise((done) => {
    let frames = 30;
    const next = () => (frames-- > 0 ? requestAnimationFrame(next) : done());
    next();
  }));
  await saved(ada);
}

async function say(page, text) {
  await page.getByTestId('chat-input').fill(text);
  await page.getByTestId('chat-input').press('Enter');
  await page.getByTestId('message').filter({ hasText: text }).waitFor();
  await saved(page);
}
