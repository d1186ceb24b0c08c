// Files straight from the page to a bucket, by presigned URLs under the bucket's CORS rules as `kanvas provision` sets them. Run by
// TestBrowsersUploadToTheBucket (Go), with the settings of a bucket in the environment; KANVAS_BUCKET is where its addresses begin.
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { fact, live, token, visit } from './lib/browser.mjs';
import { api } from './lib/server.mjs';
import { openWorld } from './lib/world.mjs';

const bucket = process.env.KANVAS_BUCKET;
const mayUpload = process.env.KANVAS_MAY_UPLOAD === 'yes';

let world;
let ada;
let puts;

before(async () => {
  world = await openWorld('bucket', 'Ada Lovelace');
  [ada] = world.people;
  puts = [];
  ada.page.on('request', (r) => r.method() === 'PUT' && puts.push(r.url()));
  await visit(ada, world.server, '/');
  const room = await api(world.server, await token(ada), 'POST', '/v1/rooms', { name: 'Darkroom', visibility: 'private' });
  await visit(ada, world.server, `/r/${room.id}`);
  await live(ada.page);
});

after(() => world?.close());

/** Drops a PNG of side × side pixels of noise: about three bytes a pixel. */
const drop = (side) =>
  ada.page.evaluate(async (side) => {
    const canvas = new OffscreenCanvas(side, side);
    const context = canvas.getContext('2d');
    const noise = context.createImageData(side, side);
    for (let i = 0; i < noise.data.length; i += 65_536) crypto.getRandomValues(noise.data.subarray(i, i + 65_536));
    for (let i = 3; i < noise.data.length; i += 4) noise.data[i] = 255;
    context.putImageData(noise, 0, 0);
    const data = new DataTransfer();
    data.items.add(new File([await canvas.convertToBlob({ type: 'image/png' })], `noise-${side}.png`, { type: 'image/png' }));
    document.querySelector('[data-testid=stage]').dispatchEvent(new DragEvent('drop', { dataTransfer: data, clientX: 640, clientY: 420, bubbles: true, cancelable: true }));
  }, side);

const stored = (count) => fact(ada.page, `${count} files are stored`, (count) => window.__kanvas.elements().filter((e) => e.src?.startsWith('/v1/assets/')).length === count, count);

if (mayUpload) {
  it('a file in one request', async () => {
    await drop(100);
    await stored(1);
    assert.ok(puts.length === 1 && puts[0].startsWith(bucket), puts.join('\n'));
  });

  it('a file in parts, whose ETags the page is told', async () => {
    puts.length = 0;
    await drop(2500); // 18 MB
    await stored(2);
    assert.ok(puts.length === 3 && puts.every((p) => p.startsWith(bucket) && p.includes('partNumber=')), puts.join('\n'));
    assert.deepEqual(ada.problems, []);
  });
} else {
  it('another origin may not', async () => {
    const failed = ada.page.waitForEvent('requestfailed', (r) => r.url().startsWith(bucket));
    await drop(100);
    await failed;
    assert.equal(await ada.page.evaluate(() => window.__kanvas.elements().filter((e) => e.src?.startsWith('/v1/assets/')).length), 0);
  });
}
