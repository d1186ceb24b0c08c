// The page in a real browser against the real server: two people in one room, and a server that is killed under them.
// KANVAS_BIN names the server; SCREENSHOTS a directory for pictures of it all.
import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { added, dragMouse, drawn, element, elements, fact, give, has, live, middle, person, sameAsServer, saved, screenshots, shot, status, token, visit } from './lib/browser.mjs';
import { api, eventually, startServer } from './lib/server.mjs';
import { openWorld } from './lib/world.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const PICTURES = ['moochin-simple-characters.jpg', 'maeddes-technology-logos.png'].map((name) => join(here, 'pictures', name));

let world;
let ada;
let grace;
let room;

const converged = () => sameAsServer(world.server, room, [ada, grace]);

before(async () => {
  world = await openWorld('page', 'Ada Lovelace', 'Grace Hopper');
  [ada, grace] = world.people;
});

after(async () => {
  await world?.close();
  console.log(`screenshots: ${screenshots}`);
});

describe('two people in a room', () => {
  it('is made on the list, and found there by somebody else', async () => {
    await visit(ada, world.server, '/');
    await ada.page.getByTestId('new-room').click();
    await ada.page.getByTestId('room-name').fill('Launch plan');
    await ada.page.getByTestId('create-room').click();
    await live(ada.page);
    room = await ada.page.evaluate(() => window.__kanvas.room);
    assert.equal(new URL(ada.page.url()).pathname, `/r/${room}`);
    assert.equal(await ada.page.evaluate(() => window.__kanvas.role), 'owner');

    await visit(grace, world.server, '/');
    await eventually('the list shows the room', async () => {
      if (await grace.page.getByTestId('room-card').filter({ hasText: 'Launch plan' }).isVisible()) return true;
      await grace.page.reload();
      await grace.page.getByTestId('my-name').waitFor();
      await grace.page.waitForFunction(() => document.querySelector('.rooms')?.childElementCount > 0);
      return false;
    });
    await grace.page.getByTestId('room-card').filter({ hasText: 'Launch plan' }).click();
    await live(grace.page);
    assert.equal(await grace.page.evaluate(() => window.__kanvas.role), 'editor');
  });

  it('shows who is here', async () => {
    for (const { page } of [ada, grace]) {
      await page.getByTestId('people').click();
      await page.getByTestId('person').nth(1).waitFor();
      const people = (await page.getByTestId('people-list').innerText()).replaceAll('\n', ' ');
      assert.match(people, /Ada Lovelace.* owner/);
      assert.match(people, /Grace Hopper.* editor/);
      await page.getByTestId('people').click();
    }
  });

  it('takes pictures that are dropped and pasted, and shows them at once and to the other', async () => {
    const [dropped] = await added(ada.page, 1, () => give(ada.page, 'drop', [PICTURES[0]], { x: 200, y: 260 }));
    await ada.page.mouse.move(720, 260);
    const [pasted] = await added(ada.page, 1, () => give(ada.page, 'paste', [PICTURES[1]]));
    for (const id of [dropped, pasted]) {
      assert.match((await element(ada.page, id)).src, /^(upload:|\/v1\/assets\/)/);
      for (const { page } of [ada, grace]) {
        await fact(page, 'the picture is an asset, and drawn', (id) => {
          const src = window.__kanvas.elements().find((e) => e.id === id)?.src;
          return src?.startsWith('/v1/assets/') && window.__kanvas.pictureShown(src);
        }, id);
      }
    }
    await converged();
  });

  let rect;
  let text;

  it('draws a rectangle and writes a text', async () => {
    await ada.page.keyboard.press('r');
    [rect] = await added(ada.page, 1, () => dragMouse(ada.page, { x: 300, y: 470 }, { x: 460, y: 550 }));
    await ada.page.keyboard.press('Escape');
    await ada.page.keyboard.press('t');
    await ada.page.mouse.click(520, 510);
    await ada.page.getByTestId('text-field').pressSequentially('Ship it on Friday');
    [text] = await added(ada.page, 1, () => ada.page.keyboard.press('Escape'));
    const seen = await has(grace.page, text);
    assert.equal(seen.text, 'Ship it on Friday');
    assert.equal((await has(grace.page, rect)).shape, 'rect');
    await converged();
    assert.match(await status(ada.page), /^saved to #\d+$/);
  });

  it('shows a drag to the other while it lasts, and stores it once', async () => {
    const start = await element(ada.page, rect);
    const revision = await grace.page.evaluate(() => window.__kanvas.revision);
    const from = await middle(ada.page, rect);
    await dragMouse(ada.page, from, { x: from.x + 60, y: from.y + 20 }, { hold: true });
    await fact(grace.page, 'the drag is seen before it is stored', ({ id, x }) => window.__kanvas.elements().find((e) => e.id === id).x > x, { id: rect, x: start.x });
    assert.equal(await grace.page.evaluate(() => window.__kanvas.revision), revision, 'nothing is stored before the end');
    await ada.page.mouse.move(from.x + 120, from.y + 40, { steps: 4 });
    await ada.page.mouse.up();
    await converged();
    const end = await element(grace.page, rect);
    assert.ok(end.x > start.x + 50 && end.y > start.y + 10, JSON.stringify({ start, end }));
    assert.equal(await grace.page.evaluate(() => window.__kanvas.revision), revision + 1, 'one event for the whole drag');
  });

  it('moves several together as one commit', async () => {
    await ada.page.keyboard.press('Escape');
    await dragMouse(ada.page, { x: 270, y: 450 }, { x: 1000, y: 640 });
    const chosen = await ada.page.evaluate(() => window.__kanvas.selection);
    assert.ok(chosen.includes(rect) && chosen.includes(text), 'the marquee took both');
    await ada.page.keyboard.press('Escape');
    const p = await middle(ada.page, rect);
    await ada.page.mouse.click(p.x, p.y);
    const q = await middle(ada.page, text);
    await ada.page.keyboard.down('Shift');
    await ada.page.mouse.click(q.x, q.y);
    await ada.page.keyboard.up('Shift');
    assert.deepEqual(await ada.page.evaluate(() => window.__kanvas.selection), [rect, text]);
    const [a, b] = [await element(ada.page, rect), await element(ada.page, text)];
    await dragMouse(ada.page, p, { x: p.x - 60, y: p.y + 20 });
    await converged();
    const [a2, b2] = [await element(grace.page, rect), await element(grace.page, text)];
    const moved = (now, was) => [Math.round((now.x - was.x) * 100), Math.round((now.y - was.y) * 100)];
    assert.deepEqual(moved(a2, a), moved(b2, b));
    assert.ok(a2.x < a.x);
  });

  it('turns and resizes by the handles', async () => {
    await ada.page.keyboard.press('Escape');
    const p = await middle(ada.page, rect);
    await ada.page.mouse.click(p.x, p.y);
    const e = await element(ada.page, rect);
    const corner = await ada.page.evaluate(({ x, y }) => window.__kanvas.toScreen(x, y), { x: e.x + e.width, y: e.y + e.height });
    await drawn(ada.page);
    await dragMouse(ada.page, { x: corner.x + 4, y: corner.y + 4 }, { x: corner.x + 44, y: corner.y + 24 });
    await fact(ada.page, 'it grew', ({ id, w }) => window.__kanvas.elements().find((x) => x.id === id).width > w + 20, { id: rect, w: e.width });
    const top = await ada.page.evaluate(({ x, y }) => window.__kanvas.toScreen(x, y), await element(ada.page, rect).then((r) => ({ x: r.x + r.width / 2, y: r.y })));
    await drawn(ada.page);
    await dragMouse(ada.page, { x: top.x, y: top.y - 30 }, { x: top.x + 90, y: top.y - 10 });
    await fact(ada.page, 'it turned', (id) => window.__kanvas.elements().find((x) => x.id === id).rotation > 10, rect);
    await converged();
    await shot(ada.page, '1-handles');
  });

  it('changes the paint order', async () => {
    const order = async (page) => (await elements(page)).map((e) => e.id);
    await ada.page.getByTestId('order-back').click();
    assert.equal((await order(ada.page))[0], rect);
    await converged();
    assert.equal((await order(grace.page))[0], rect);
    await ada.page.getByTestId('order-forward').click();
    await converged();
    assert.equal((await order(grace.page))[1], rect);
    await ada.page.getByTestId('order-front').click();
    await converged();
    assert.equal((await order(grace.page)).at(-1), rect);
  });

  it('undoes and redoes the own last change, and leaves what others did', async () => {
    const before = await element(ada.page, rect);
    await ada.page.keyboard.press('ArrowRight');
    await saved(ada.page);
    const q = await middle(grace.page, text);
    await grace.page.mouse.click(q.x, q.y);
    await grace.page.getByTestId('stroke-#e5484d').click();
    await converged();
    await ada.page.keyboard.press('Control+z');
    await fact(grace.page, 'the nudge is undone', ({ id, x }) => window.__kanvas.elements().find((e) => e.id === id).x === x, { id: rect, x: before.x });
    assert.equal((await element(ada.page, text)).fill, '#e5484d');
    await ada.page.keyboard.press('Control+Shift+z');
    await fact(grace.page, 'and done again', ({ id, x }) => window.__kanvas.elements().find((e) => e.id === id).x === x, { id: rect, x: before.x + 1 });
    await converged();
  });

  it('copies, pastes, duplicates and deletes', async () => {
    await ada.page.keyboard.press('Escape');
    const q = await middle(ada.page, text);
    await ada.page.mouse.click(q.x, q.y);
    await ada.page.keyboard.press('Control+c');
    await ada.page.mouse.move(700, 480);
    const [pasted] = await added(ada.page, 1, () => ada.page.keyboard.press('Control+v'));
    assert.equal((await has(grace.page, pasted)).text, 'Ship it on Friday');
    const [twin] = await added(ada.page, 1, () => ada.page.keyboard.press('Control+d'));
    await converged();
    await ada.page.keyboard.press('Delete');
    await fact(grace.page, 'the duplicate is gone', (id) => !window.__kanvas.elements().some((e) => e.id === id), twin);
    await converged();
    assert.ok(await element(grace.page, pasted));
  });

  it('carries chat, with what was said before', async () => {
    await ada.page.getByTestId('chat-toggle').click();
    await ada.page.getByTestId('chat-input').fill('Shall we move the logos to the left?');
    await ada.page.keyboard.press('Enter');
    await grace.page.getByTestId('unread').waitFor({ state: 'visible' });
    await grace.page.getByTestId('chat-toggle').click();
    await grace.page.getByTestId('message').filter({ hasText: 'move the logos' }).waitFor();
    await grace.page.getByTestId('chat-input').fill('Yes, and make the note yellow.');
    await grace.page.keyboard.press('Enter');
    await ada.page.getByTestId('message').filter({ hasText: 'make the note yellow' }).waitFor();
    await grace.page.reload();
    await live(grace.page);
    await grace.page.getByTestId('chat-toggle').click();
    const said = await grace.page.getByTestId('messages').innerText();
    assert.match(said, /Ada Lovelace[\s\S]*logos to the left[\s\S]*Grace Hopper[\s\S]*note yellow/);
    await saved(grace.page);
  });

  it('shows the other’s cursor with its name, where it is on the canvas', async () => {
    await grace.page.mouse.move(600, 300, { steps: 5 });
    const at = await grace.page.evaluate(() => {
      const v = window.__kanvas.viewport;
      return { x: (600 - v.x) / v.scale, y: (300 - v.y) / v.scale };
    });
    await fact(ada.page, 'the cursor is there', ({ x, y }) => Object.values(window.__kanvas.cursors()).some((c) => c.name === 'Grace Hopper' && Math.hypot(c.x - x, c.y - y) < 1), at);
    assert.equal(await ada.page.getByTestId('cursor').filter({ hasText: 'Grace Hopper' }).count(), 1);
    await shot(ada.page, '2-room');
  });

  it('zooms about the pointer, and fits', async () => {
    const under = () => ada.page.evaluate(() => {
      const v = window.__kanvas.viewport;
      return { x: (500 - v.x) / v.scale, y: (400 - v.y) / v.scale, scale: v.scale };
    });
    await ada.page.mouse.move(500, 400);
    const before = await under();
    await ada.page.keyboard.down('Control');
    await ada.page.mouse.wheel(0, -240);
    await ada.page.keyboard.up('Control');
    await fact(ada.page, 'it zoomed', (s) => window.__kanvas.viewport.scale > s * 1.1, before.scale);
    const zoomed = await under();
    assert.ok(Math.hypot(zoomed.x - before.x, zoomed.y - before.y) < 0.01);
    await ada.page.getByTestId('zoom-fit').click();
    await fact(ada.page, 'everything fits', () => window.__kanvas.elements().every((e) => {
      const p = window.__kanvas.toScreen(e.x, e.y);
      return p.x > 0 && p.y > 0 && p.x < innerWidth && p.y < innerHeight;
    }));
  });
});

describe('on a touch screen', () => {
  it('two fingers zoom and move the view and draw nothing', async () => {
    const tess = await person(world.browser, 'Tess', { viewport: { width: 390, height: 800 }, hasTouch: true, isMobile: true });
    await visit(tess, world.server, `/r/${room}`);
    await live(tess.page);
    await tess.page.getByTestId('tool-rect').tap();
    const before = await tess.page.evaluate(() => ({ count: window.__kanvas.elements().length, ...window.__kanvas.viewport }));
    const touch = await tess.context.newCDPSession(tess.page);
    const fingers = (type, ...xs) => touch.send('Input.dispatchTouchEvent', { type, touchPoints: xs.map((x, id) => ({ x, y: 400, id })) });
    await fingers('touchStart', 150);
    await fingers('touchStart', 150, 250);
    await fingers('touchMove', 120, 280);
    await fingers('touchMove', 100, 300);
    await fingers('touchEnd');
    const after = await fact(tess.page, 'it zoomed', (s) => window.__kanvas.viewport.scale > s * 1.5 && { count: window.__kanvas.elements().length, ...window.__kanvas.viewport }, before.scale);
    assert.ok(Math.abs(after.scale / before.scale - 2) < 0.05, `twice as far apart is twice as large, not ${after.scale / before.scale}`);
    const middleOf = (v) => [(200 - v.x) / v.scale, (400 - v.y) / v.scale];
    const [x0, y0] = middleOf(before);
    const [x1, y1] = middleOf(after);
    assert.ok(Math.hypot(x1 - x0, y1 - y0) < 1, 'what was between the fingers stayed there');
    assert.equal(after.count, before.count);
    assert.deepEqual(tess.problems, []);
    await shot(tess.page, '6-phone');
    await tess.context.close();
  });
});

describe('when the server is killed', () => {
  it('edits wait, nothing acknowledged is lost, and both pages resume by themselves', async () => {
    await ada.page.getByTestId('chat-toggle').click();
    await grace.page.getByTestId('chat-toggle').click();
    await ada.page.keyboard.press('Escape');
    await ada.page.keyboard.press('r');
    const [box] = await added(ada.page, 1, () => dragMouse(ada.page, { x: 620, y: 120 }, { x: 720, y: 180 }));
    await converged();
    const start = await element(ada.page, box);

    // kill -9 while nudges are on their way and the other one drags.
    const note = await (async () => {
      await grace.page.keyboard.press('n');
      const [id] = await added(grace.page, 1, () => dragMouse(grace.page, { x: 1000, y: 150 }, { x: 1100, y: 250 }));
      await grace.page.getByTestId('text-field').pressSequentially('Hold the line');
      await grace.page.keyboard.press('Escape');
      return id;
    })();
    await has(ada.page, note);
    const m = await middle(grace.page, note);
    await dragMouse(grace.page, m, { x: m.x - 40, y: m.y + 30 }, { hold: true });
    for (let i = 0; i < 10; i++) await ada.page.keyboard.press('ArrowRight');
    const killed = world.server.kill('SIGKILL');
    for (let i = 0; i < 10; i++) await ada.page.keyboard.press('ArrowRight');
    await killed;
    await grace.page.mouse.move(m.x - 90, m.y + 60, { steps: 3 });
    await grace.page.mouse.up();

    for (const { page } of [ada, grace]) await fact(page, 'it says that it is offline', () => window.__kanvas.status.kind === 'offline');
    const acked = Math.max(...(await Promise.all([ada, grace].map(({ page }) => page.evaluate(() => window.__kanvas.savedRevision)))));
    for (let i = 0; i < 3; i++) await ada.page.keyboard.press('ArrowDown');
    const waiting = await ada.page.evaluate(() => window.__kanvas.waiting);
    assert.ok(waiting >= 3, `${waiting} changes wait`);
    assert.match(await status(ada.page), new RegExp(`^offline – ${waiting} changes waiting$`));
    await shot(ada.page, '3-offline');

    world.server = await startServer({ data: world.data, listen: world.server.listen });
    await converged();
    for (const { page } of [ada, grace]) assert.match(await status(page), /^saved to #\d+$/);
    const now = await element(grace.page, box);
    assert.equal(now.x, start.x + 20, 'every nudge is there, once');
    assert.equal(now.y, start.y + 3);
    const dragged = await element(ada.page, note);
    assert.equal(dragged.text, 'Hold the line');
    const truth = await api(world.server, await token(ada), 'GET', `/v1/rooms/${room}/canvas`);
    assert.ok(truth.revision >= acked, 'what was acknowledged before the kill is there');
    const events = await api(world.server, await token(ada), 'GET', `/v1/rooms/${room}/events?after=0&limit=1000`);
    const once = events.events.filter((e) => e.seq !== undefined && e.data.id === box).map((e) => `${e.client}/${e.seq}`);
    assert.equal(new Set(once).size, once.length, 'nothing was done twice');
    await shot(ada.page, '4-resumed');
  });

  it('works on as before', async () => {
    await ada.page.keyboard.press('ArrowUp');
    await converged();
  });
});

it('nothing went wrong unseen in any page', () => {
  assert.deepEqual([...ada.problems, ...grace.problems], []);
});
