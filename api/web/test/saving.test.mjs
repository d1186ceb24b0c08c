// What the page does with edits that can not be saved yet, or never will, and with pictures: in a real browser against the real server.
import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { added, cuttable, dragMouse, element, elements, fact, has, live, sameAsServer, saved, shot, status, token } from './lib/browser.mjs';
import { api } from './lib/server.mjs';
import { meet, openWorld } from './lib/world.mjs';

const PICTURE = join(dirname(fileURLToPath(import.meta.url)), 'pictures', 'moochin-simple-characters.jpg');

let world;
let ada;
let grace;
let room;

const converged = () => sameAsServer(world.server, room, [ada, grace]);

before(async () => {
  world = await openWorld('saving', 'Ada Lovelace', 'Grace Hopper');
  [ada, grace] = world.people;
  room = await meet(world, 'Workbench');
});

after(async () => {
  await world?.close();
});

describe('rights', () => {
  it('a viewer sees a canvas that can not be changed, and a refused edit rolls back with its reason', async () => {
    const user = await grace.page.evaluate(() => window.__kanvas.user);
    const setRole = async (role) => api(world.server, await token(ada), 'PUT', `/v1/rooms/${room}/participants/${user}`, { role });
    await setRole('viewer');
    await grace.page.getByTestId('read-only').waitFor({ state: 'visible' });
    assert.equal(await grace.page.getByTestId('tool-rect').isVisible(), false);
    const before = (await elements(grace.page)).length;
    await grace.page.keyboard.press('r');
    await dragMouse(grace.page, { x: 300, y: 200 }, { x: 400, y: 300 });
    assert.equal((await elements(grace.page)).length, before);
    await setRole('editor');
    await grace.page.getByTestId('tool-rect').waitFor({ state: 'visible' });

    // Edited offline, and made a viewer meanwhile.
    const cut = await cuttable(grace);
    await cut.off();
    await fact(grace.page, 'offline', () => window.__kanvas.status.kind === 'offline');
    // What a step comes to only the server knows: it can't be taken back now, and the button says why.
    for (const step of ['undo', 'redo']) {
      assert.equal(await grace.page.getByTestId(step).isDisabled(), true);
      assert.match(await grace.page.getByTestId(step).getAttribute('title'), /offline/);
    }
    const [fresh] = await added(grace.page, 1, async () => {
      await grace.page.keyboard.press('o');
      await dragMouse(grace.page, { x: 300, y: 200 }, { x: 400, y: 300 });
    });
    await setRole('viewer');
    await cut.on();
    await fact(grace.page, 'refused, and it says why', () => window.__kanvas.status.kind === 'refused');
    assert.match(await status(grace.page), /^refused: .+/);
    assert.equal(await element(grace.page, fresh), undefined, 'rolled back');
    await shot(grace.page, '5-refused');
    await grace.page.getByTestId('dismiss').click();
    await saved(grace.page);
    await setRole('editor');
    await grace.page.getByTestId('tool-rect').waitFor({ state: 'visible' });
    assert.equal(await grace.page.getByTestId('undo').isEnabled(), true);
    assert.equal(await grace.page.getByTestId('undo').getAttribute('title'), 'Undo  (Ctrl+Z)');
    await converged();
  });
});

describe('what waits', () => {
  it('survives a reload and goes out under the same numbers', async () => {
    const { page } = grace;
    const cut = await cuttable(grace);
    await cut.off();
    await fact(page, 'offline', () => window.__kanvas.status.kind === 'offline');
    const client = await page.evaluate(() => window.__kanvas.client);
    const ids = [];
    for (const x of [320, 430]) {
      await page.keyboard.press('r');
      ids.push(...(await added(page, 1, () => dragMouse(page, { x, y: 120 }, { x: x + 80, y: 180 }))));
    }
    assert.match(await status(page), /^offline – 2 changes waiting$/);
    await page.reload();
    await fact(page, 'they wait again', () => window.__kanvas?.waiting === 2);
    assert.equal(await page.evaluate(() => window.__kanvas.client), client);
    for (const id of ids) assert.ok(await element(page, id), 'and are shown');
    await cut.on();
    await converged();
    const stored = (await api(world.server, await token(ada), 'GET', `/v1/rooms/${room}/canvas`)).elements.map((e) => e.id);
    for (const id of ids) assert.ok(stored.includes(id));
  });

  it('of a tab that was closed is sent by the next one, and two tabs are two clients', async () => {
    const third = await grace.context.newPage();
    let blocked = false;
    const sockets = [];
    await third.routeWebSocket(/\/ws$/, (socket) => {
      if (blocked) return void socket.close({ code: 1001 });
      socket.connectToServer();
      sockets.push(socket);
    });
    await third.goto(`${world.server.url}/r/${room}`);
    await live(third);
    const clients = await Promise.all([third, grace.page].map((p) => p.evaluate(() => window.__kanvas.client)));
    assert.notEqual(clients[0], clients[1]);
    blocked = true;
    await Promise.all(sockets.map((s) => s.close({ code: 1001 })));
    await fact(third, 'offline', () => window.__kanvas.status.kind === 'offline');
    await third.keyboard.press('o');
    const [id] = await added(third, 1, () => dragMouse(third, { x: 540, y: 120 }, { x: 600, y: 180 }));
    await fact(third, 'the browser keeps it', (id) => new Promise((resolve) => {
      const open = indexedDB.open('kanvas');
      open.onsuccess = () => {
        const kept = open.result.transaction('outbox').objectStore('outbox').getAll();
        kept.onsuccess = () => {
          open.result.close();
          resolve(JSON.stringify(kept.result).includes(id));
        };
      };
    }), id);
    await third.close();
    const fourth = await grace.context.newPage();
    await fourth.goto(`${world.server.url}/r/${room}`);
    await has(ada.page, id);
    await saved(fourth);
    await fourth.close();
    await converged();
  });
});

describe('pictures', () => {
  it('of a private room are shown to who may see them', async () => {
    const page = await ada.context.newPage();
    await page.goto(world.server.url);
    await page.getByTestId('new-room').click();
    await page.getByTestId('visibility-private').check();
    await page.getByTestId('create-room').click();
    await live(page);
    const [id] = await added(page, 1, () => page.getByTestId('file-input').setInputFiles(PICTURE));
    await saved(page);
    await page.reload();
    await fact(page, 'drawn after a reload', (id) => {
      const src = window.__kanvas?.elements().find((e) => e.id === id)?.src;
      return src && window.__kanvas.pictureShown(src);
    }, id);
    await grace.page.goto(page.url());
    await grace.page.getByTestId('room-problem').waitFor();
    await page.close();
  });
});

it('nothing went wrong unseen in any page', () => {
  assert.deepEqual([...ada.problems, ...grace.problems], []);
});
