// Measures frames with many photographs, in a headless Chromium that draws without a graphics card: `npm run frames`. It reports and asserts nothing.
import { openWorldWith } from './lib/world.mjs';
import { fact, live, token, visit } from './lib/browser.mjs';
import { api, eventually } from './lib/server.mjs';

const COUNT = Number(process.env.PICTURES ?? 2000);
/** Files of their own among them: fewer are quicker to send. */
const DISTINCT = Math.min(COUNT, Number(process.env.DISTINCT ?? COUNT));
const COLUMNS = 50;
const [WIDTH, HEIGHT] = [720, 480];
const world = await openWorldWith({ KANVAS_RATE_LIMITS: 'off', KANVAS_QUOTA: String(2 ** 33) }, 'frames', 'Ada Lovelace');
const [{ page }] = world.people;
try {
  await visit(world.people[0], world.server, '/');
  const who = await token(world.people[0]);
  const room = (await api(world.server, who, 'POST', '/v1/rooms', { name: 'Photographs', visibility: 'private' })).id;
  const files = await page.evaluate(draw, { WIDTH, HEIGHT, kinds: 24 });
  const bytes = files.map((f) => Buffer.from(f, 'base64'));
  console.log(`${COUNT} photographs (${DISTINCT} files) of ${WIDTH} × ${HEIGHT}, ${Math.round(bytes.reduce((n, b) => n + b.length, 0) / bytes.length / 1024)} KiB each`);
  const ids = await upload(who, room, bytes);
  await place(who, room, ids);
  await eventually('smaller ones are made', async () => (await listed(who, room)).every((a) => a.variants), 600_000);

  const begun = performance.now();
  await visit(world.people[0], world.server, `/r/${room}`);
  await live(page);
  await fact(page, 'the room is there', (n) => window.__kanvas.elements().length === n, COUNT);
  console.log(`room shown after ${Math.round(performance.now() - begun)} ms`);
  await settled();
  console.log(`every picture drawn after ${Math.round(performance.now() - begun)} ms`);
  await report('all of them on the screen, panning', () => pan(10, 4));
  await zoomTo(0.25);
  await report('25 %, panning while pictures come', () => pan(24, 12));
  await zoomTo(1);
  await report('100 %, panning while pictures come', () => pan(40, 20));
  if (process.env.PROFILE) await profile(() => pan(10, 4));
  await settled();
  await report('100 %, panning over what is there', () => pan(-20, 0));
  await report('zooming out and in', async () => {
    await zoomTo(0.06);
    await zoomTo(1);
  });
} finally {
  await world.close();
}

/** Photographs, or near enough: soft colours with grain. */
async function draw({ WIDTH, HEIGHT, kinds }) {
  const files = [];
  for (let i = 0; i < kinds; i++) {
    const canvas = new OffscreenCanvas(WIDTH, HEIGHT);
    const context = canvas.getContext('2d');
    for (let j = 0; j < 60; j++) {
      const [x, y, r] = [Math.random() * WIDTH, Math.random() * HEIGHT, 60 + Math.random() * 400];
      const glow = context.createRadialGradient(x, y, 0, x, y, r);
      glow.addColorStop(0, `hsl(${Math.random() * 360} 60% ${30 + Math.random() * 50}%)`);
      glow.addColorStop(1, 'transparent');
      context.fillStyle = glow;
      context.fillRect(0, 0, WIDTH, HEIGHT);
    }
    const grain = context.getImageData(0, 0, WIDTH, HEIGHT);
    for (let k = 0; k < grain.data.length; k++) if (k % 4 !== 3) grain.data[k] += Math.random() * 24 - 12;
    context.putImageData(grain, 0, 0);
    const blob = await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.85 });
    files.push(btoa(Array.from(new Uint8Array(await blob.arrayBuffer()), (b) => String.fromCharCode(b)).join('')));
  }
  return files;
}

async function upload(who, room, bytes) {
  const ids = new Array(DISTINCT);
  let next = 0;
  const worker = async () => {
    for (let i = next++; i < DISTINCT; i = next++) {
      const body = bytes[i % bytes.length];
      const { asset, upload } = await api(world.server, who, 'POST', '/v1/assets', { name: `photo-${i}.jpg`, content_type: 'image/jpeg', size: body.length, room_id: room });
      const put = await fetch(upload.url, { method: 'PUT', headers: upload.headers, body });
      if (!put.ok) throw new Error(`PUT: ${put.status}`);
      await api(world.server, who, 'POST', `/v1/assets/${asset.id}/complete`, {});
      ids[i] = asset.id;
    }
  };
  await Promise.all([worker(), worker(), worker(), worker()]);
  return ids;
}

async function place(who, room, ids) {
  for (let i = 0; i < COUNT; i += 500) {
    const commands = Array.from({ length: Math.min(500, COUNT - i) }, (_, j) => {
      const n = i + j;
      return { command: 'element.add', data: { element: { id: `p${n}`, type: 'image', src: `/v1/assets/${ids[n % DISTINCT]}`, x: (n % COLUMNS) * 330, y: Math.floor(n / COLUMNS) * 230, width: 300, height: 200, rotation: 0 } } };
    });
    await api(world.server, who, 'POST', `/v1/rooms/${room}/commands`, { commands });
  }
}

async function listed(who, room) {
  const all = [];
  for (let cursor = ''; ; ) {
    const { assets, next_cursor } = await api(world.server, who, 'GET', `/v1/rooms/${room}/assets?limit=1000&cursor=${cursor}`);
    all.push(...assets);
    if (!next_cursor) return all;
    cursor = next_cursor;
  }
}

function settled() {
  return page.waitForFunction(() => window.__kanvas.pictures.waiting === 0, undefined, { timeout: 300_000, polling: 200 });
}

/** Pans by wheel for three seconds. */
async function pan(dx, dy) {
  await page.mouse.move(640, 400);
  const end = performance.now() + 3000;
  while (performance.now() < end) {
    await page.mouse.wheel(dx, dy);
    await page.waitForTimeout(12);
  }
}

async function zoomTo(scale) {
  await page.mouse.move(640, 400);
  await page.keyboard.down('Control');
  for (let i = 0; i < 300; i++) {
    const now = await page.evaluate(() => window.__kanvas.viewport.scale);
    if (Math.abs(Math.log(now / scale)) < 0.1) break;
    await page.mouse.wheel(0, now < scale ? -30 : 30);
  }
  await page.keyboard.up('Control');
}

/** Counts frames while something is done, and says how far apart they were. */
async function report(what, work) {
  await page.evaluate(() => {
    const frames = (window.__frames = []);
    let last = performance.now();
    const tick = (now) => {
      frames.push(now - last);
      last = now;
      window.__next = requestAnimationFrame(tick);
    };
    window.__next = requestAnimationFrame(tick);
  });
  await work();
  const frames = await page.evaluate(() => {
    cancelAnimationFrame(window.__next);
    return window.__frames.slice(1).sort((a, b) => a - b);
  });
  const at = (share) => frames[Math.min(frames.length - 1, Math.floor(frames.length * share))]?.toFixed(0);
  const { bytes, pictures } = await page.evaluate(() => window.__kanvas.pictures);
  console.log(`${what}: ${frames.length} frames, apart ms p50 ${at(0.5)}, p95 ${at(0.95)}, most ${at(1)}; ${pictures} pictures held, ${Math.round(bytes / 1048576)} MiB decoded`);
}

/** Says which functions the page's time went to while something was done. */
async function profile(work) {
  await zoomTo(0.06);
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('Profiler.enable');
  await cdp.send('Profiler.start');
  await work();
  const { profile } = await cdp.send('Profiler.stop');
  const self = new Map();
  const names = new Map(profile.nodes.map((n) => [n.id, n.callFrame.functionName || '(anonymous)']));
  profile.samples.forEach((id, i) => self.set(names.get(id), (self.get(names.get(id)) ?? 0) + profile.timeDeltas[i]));
  console.log([...self].sort((a, b) => b[1] - a[1]).slice(0, 16).map(([name, us]) => `  ${Math.round(us / 1000)} ms ${name}`).join('\n'));
}
