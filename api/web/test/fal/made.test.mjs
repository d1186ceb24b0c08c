// Pictures and videos that people have made on the page: asked for, waited for, cancelled, refused, tried again. Run by TestPageMakesPictures of the
// server's tests, which has a stand-in for fal.ai; FAL_HAND moves it.
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { added, element, elements, fact, has, sameAsServer, saved, shot } from '../lib/browser.mjs';
import { eventually } from '../lib/server.mjs';
import { meet, openWorldWith } from '../lib/world.mjs';

let world;
let ada;
let grace;
let room;

const hand = async (what) => (await fetch(`${process.env.FAL_HAND}/${what}`)).text();
const jobs = async () => JSON.parse(await hand('jobs'));
const badge = ({ page }, id) => page.locator(`[data-testid=badge][data-element="${id}"]`);
const made = ({ page }, id) => fact(page, 'the result is drawn', (id) => {
  const e = window.__kanvas.elements().find((e) => e.id === id);
  return e?.src.startsWith('/v1/assets/') && e.generation === undefined && (e.type === 'video' || window.__kanvas.pictureShown(e.src)) && e;
}, id, 60_000);

/** Types a wish and returns the new element. */
async function wish({ page }, prompt) {
  const [id] = await added(page, 1, async () => {
    await page.getByTestId('prompt-text').fill(prompt);
    await page.getByTestId('prompt-submit').click();
  });
  return id;
}

/** Selects one element by a click on its upper left. */
async function select({ page }, id) {
  await page.keyboard.press('Escape');
  const e = await element(page, id);
  const p = await page.evaluate(({ x, y }) => window.__kanvas.toScreen(x, y), { x: e.x + e.width * 0.1, y: e.y + e.height * 0.1 });
  await page.mouse.click(p.x, p.y);
  await fact(page, 'it is selected', (id) => window.__kanvas.selection.length === 1 && window.__kanvas.selection[0] === id, id);
}

before(async () => {
  world = await openWorldWith({}, 'made', 'Ada Lovelace', 'Grace Hopper');
  [ada, grace] = world.people;
  room = await meet(world, 'Moodboard');
});

after(() => world?.close());

let fox;

it('shows everybody what is being made, and then the picture', async () => {
  await ada.page.getByTestId('tool-make').click();
  await ada.page.getByTestId('prompt-box').waitFor();
  assert.deepEqual(await ada.page.getByTestId('prompt-model').locator('option').allTextContents(), ['FLUX Kontext']);
  assert.match(await ada.page.getByTestId('prompt-price').innerText(), /^about \$\d/);
  await ada.page.getByTestId('prompt-submit').click();
  await ada.page.getByTestId('prompt-problem').getByText(/Describe the picture/).waitFor();
  fox = await wish(ada, 'a red fox, hold it');
  for (const who of [ada, grace]) await badge(who, fox).getByText('waiting, 2 before it').or(badge(who, fox).getByText('being made…')).waitFor();
  await shot(ada.page, 'made-waiting');
  await hand('finish');
  for (const who of [ada, grace]) {
    await made(who, fox);
    await badge(who, fox).waitFor({ state: 'detached' });
  }
  await shot(grace.page, 'made-there');
});

it('cancels what is not wanted any more', async () => {
  const id = await wish(ada, 'a blue fox, hold it');
  await badge(ada, id).getByText('being made…').waitFor();
  await badge(ada, id).getByTestId('generation-cancel').click();
  for (const who of [ada, grace]) await fact(who.page, 'the placeholder is gone', (id) => !window.__kanvas.elements().some((e) => e.id === id), id);
  await eventually('fal.ai is told', async () => (await jobs()).some((j) => j.Canceled));
});

it('says on the element why there is no picture, and tries again', async () => {
  const id = await wish(ada, 'only once');
  for (const who of [ada, grace]) await badge(who, id).locator('.badge-text').filter({ hasText: /refuse|polic/i }).waitFor();
  await shot(ada.page, 'made-refused');
  await badge(ada, id).getByTestId('generation-retry').click();
  for (const who of [ada, grace]) await made(who, id);
  await ada.page.getByTestId('prompt-text').blur();
  await select(ada, id);
  await ada.page.keyboard.press('Delete');
  await fact(grace.page, 'it is gone', (id) => !window.__kanvas.elements().some((e) => e.id === id), id);
});

it('tells where nobody knows whether it was taken, and does not send it twice', async () => {
  await hand('lose');
  const before = (await jobs()).length;
  const id = await wish(ada, 'a lost fox');
  await badge(ada, id).getByText(/Nobody can say/).waitFor({ timeout: 60_000 });
  await shot(ada.page, 'made-unknown');
  assert.equal((await jobs()).length, before + 1);
  await badge(ada, id).getByTestId('generation-drop').click();
  await fact(grace.page, 'it is gone', (id) => !window.__kanvas.elements().some((e) => e.id === id), id);
});

it('works on the picture that is selected', { timeout: 120_000 }, async () => {
  const { page } = ada;
  await page.getByTestId('prompt-text').blur();
  await select(ada, fox);
  const before = (await element(page, fox)).src;
  await page.getByTestId('prompt-remove_background').click();
  assert.equal(await page.getByTestId('prompt-text').isVisible(), false);
  await shot(page, 'made-actions');
  await page.getByTestId('prompt-submit').click();
  for (const who of [ada, grace]) await fact(who.page, 'in its place', ({ id, src }) => {
    const e = window.__kanvas.elements().find((e) => e.id === id);
    return e.src !== src && e.generation === undefined;
  }, { id: fox, src: before });

  await page.getByTestId('prompt-restyle').click();
  const styled = await wish(ada, 'as a watercolour');
  for (const who of [ada, grace]) await made(who, styled);
  const [from, to] = [await element(page, fox), await element(page, styled)];
  assert.ok(to.x >= from.x + from.width, 'it stands beside');


  await page.getByTestId('prompt-image_to_video').click();
  const video = await wish(ada, 'it runs away');
  const { type, x } = await made(ada, video);
  assert.equal(type, 'video');
  assert.ok(x >= to.x + to.width, 'nothing is covered');
  await has(grace.page, video);
});

it('lists what was made and what it cost, and says when no more may be made', async () => {
  const { page } = ada;
  await page.getByTestId('generations-toggle').click();
  const entries = page.getByTestId('generations').getByTestId('generation');
  await fact(page, 'all are listed', () => document.querySelectorAll('[data-testid=generation]').length === 8);
  const text = (await entries.allInnerTexts()).join('\n');
  assert.match(text, /it runs away[\s\S]*made · \$\d+\.\d+ · Ada Lovelace/);
  assert.match(text, /a blue fox, hold it\ncancelled/);
  assert.match(text, /a lost fox\nunknown/);
  await page.getByTestId('my-budget').getByText(/You spent \$\d/).waitFor();
  await shot(page, 'made-list');
  await page.keyboard.press('Escape');
  await wish(ada, 'one more fox');
  await page.getByTestId('prompt-text').fill('and one too many');
  await page.getByTestId('prompt-submit').click();
  await page.getByTestId('prompt-problem').getByText(/as much as you may have made now/).waitFor();
  assert.equal(await page.getByTestId('prompt-text').inputValue(), 'and one too many', 'what was typed is kept');
  await shot(page, 'made-limit');
});

it('ends with what the server has, in every page', async () => {
  await fact(ada.page, 'nothing is under way', () => window.__kanvas.elements().every((e) => e.generation === undefined));
  for (const who of [ada, grace]) await saved(who.page);
  await sameAsServer(world.server, room, [ada, grace]);
  assert.ok((await elements(ada.page)).length >= 4);
  assert.deepEqual([...ada.problems, ...grace.problems], []);
});
