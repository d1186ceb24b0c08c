// Invites and signing in, by hand as people do it: a private room shared by a link, the link revoked, and a guest who signs in.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, it } from 'node:test';
import { giveName, live, shot, visit } from './lib/browser.mjs';
import { eventually } from './lib/server.mjs';
import { openWorld } from './lib/world.mjs';

let world;
let ada;
let grace;
let eve;
let link;

before(async () => {
  world = await openWorld('people', 'Ada Lovelace', 'Grace Hopper', 'Eve');
  [ada, grace, eve] = world.people;
});

after(() => world?.close());

it('shares a private room by a link with a role', async () => {
  await visit(ada, world.server, '/');
  await ada.page.getByTestId('new-room').click();
  await ada.page.getByTestId('room-name').fill('Secret plans');
  await ada.page.getByTestId('visibility-private').check();
  await ada.page.getByTestId('create-room').click();
  await live(ada.page);
  await ada.page.getByTestId('share').click();
  await ada.page.getByTestId('invite-commenter').check();
  await ada.page.getByTestId('make-invite').click();
  await ada.page.getByTestId('invite-url').waitFor();
  link = await ada.page.getByTestId('invite-url').inputValue();
  assert.match(link, new RegExp(`^${world.server.url}/invite#.+\\..{43}$`));
  await ada.page.getByTestId('revoke-invite').waitFor();
  await shot(ada.page, 'share-dialog');

  await grace.page.goto(link);
  await giveName(grace);
  await live(grace.page);
  assert.equal(await grace.page.evaluate(() => window.__kanvas.role), 'commenter');
  assert.match(grace.page.url(), /\/r\/[^#]+$/);
});

it('lets nobody in by a link that was revoked', async () => {
  await ada.page.getByTestId('revoke-invite').click();
  await eventually('the invite is gone', async () => (await ada.page.getByTestId('revoke-invite').count()) === 0);
  await ada.page.getByTestId('revoke-links').click();
  await ada.page.getByText('no longer work').waitFor();
  const log = execFileSync(process.env.KANVAS_BIN, ['log', await ada.page.evaluate(() => window.__kanvas.room), '--data', world.data], { encoding: 'utf8' });
  assert.match(log, /"room.key_rotated"/);
  await ada.page.keyboard.press('Escape');
  await eve.page.goto(link);
  await giveName(eve);
  await eve.page.getByTestId('invite-problem').waitFor();
  await shot(eve.page, 'invite-revoked');
});

it('makes a guest’s rooms the user’s who signs in', async () => {
  const token = execFileSync(process.env.KANVAS_BIN, ['token', 'ada', '--data', world.data], { encoding: 'utf8' }).trim();
  await ada.page.goto(`${world.server.url}/`);
  await ada.page.getByTestId('account').click();
  await ada.page.getByTestId('standing').getByText(/take 0 kB of 1\.1 GB\. You spent \$0\.00/).waitFor();
  await ada.page.getByTestId('token-input').fill('no token');
  await ada.page.getByTestId('sign-in').click();
  await ada.page.getByText('the token is not valid here').waitFor();
  await ada.page.getByTestId('token-input').fill(token);
  await shot(ada.page, 'sign-in');
  await ada.page.getByTestId('sign-in').click();
  await eventually('signed in', async () => (await ada.page.getByTestId('my-name').innerText()) === 'ada');
  const room = await grace.page.evaluate(() => window.__kanvas.room);
  await ada.page.goto(`${world.server.url}/r/${room}`);
  await live(ada.page);
  assert.equal(await ada.page.evaluate(() => window.__kanvas.role), 'owner');
  await ada.page.goto(`${world.server.url}/`);
  await ada.page.getByTestId('account').click();
  await ada.page.getByTestId('sign-out').click();
  await ada.page.getByTestId('name-input').waitFor();
  assert.deepEqual([...ada.problems, ...grace.problems, ...eve.problems], []);
});
