// Links to pictures as old clients have them: a capability of the room, which its owner revokes for everybody at once. The real client against two
// servers on one log (KANVAS_NODES, host:port each) and the Worker in front of the first (KANVAS_FRONT). Run by TestRevokedLinks (Go).
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { PartySocket } from "partysocket";
import WebSocket from "ws";

const front = process.env.KANVAS_FRONT;
const nodes = process.env.KANVAS_NODES.split(",").map((n) => `http://${n}`);
const png =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const patience = 60_000;

async function call(method, path, token, body, base = nodes[0]) {
  const response = await fetch(base + path, {
    method,
    headers: { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: response.status === 204 ? undefined : await response.json() };
}

async function guest(name) {
  return (await call("POST", "/v1/guests", "", { name })).body;
}

const sockets = [];
after(() => sockets.forEach((s) => s.close()));

/** An old client with a token: the addresses under which it was shown the picture p, newest last. */
function viewer(room, token, base) {
  const host = base.replace("http://", "");
  const seen = { src: [], waiting: [] };
  const socket = new PartySocket({ host, party: "main", room, query: token ? { token } : {}, WebSocket });
  sockets.push(socket);
  seen.socket = socket;
  socket.addEventListener("message", (e) => {
    const m = JSON.parse(e.data);
    for (const image of m.type === "sync:full" ? m.data.images : m.type.startsWith("image:") ? [m.data] : []) {
      if (image.id === "p" && image.src !== seen.src.at(-1)) seen.src.push(image.src);
    }
    for (const look of [...seen.waiting]) look();
  });
  seen.shows = (what, f) =>
    new Promise((resolve, reject) => {
      const look = () => {
        const src = seen.src.findLast(f);
        if (src === undefined) return;
        clearTimeout(timer);
        seen.waiting = seen.waiting.filter((w) => w !== look);
        resolve(src);
      };
      const timer = setTimeout(() => reject(new Error(`not shown ${what}: ${seen.src}`)), patience);
      seen.waiting.push(look);
      look();
    });
  return seen;
}

/** What a link gives at a server, without any token. */
async function open(src, base) {
  const { pathname, search } = new URL(src);
  const response = await fetch(base + pathname + search);
  const bytes = new Uint8Array(await response.arrayBuffer());
  return { status: response.status, cache: response.headers.get("Cache-Control"), bytes };
}

async function opens(src, base) {
  const got = await open(src, base);
  assert.equal(got.status, 200, `${src} at ${base}`);
  assert.deepEqual([...got.bytes.slice(1, 4)], [...Buffer.from("PNG")]);
  return got;
}

async function closed(src, base) {
  const got = await open(src, base);
  assert.equal(got.status, 404, `${src} at ${base}`);
  assert.equal(got.cache, "no-store");
}

/** The other nodes hear of it by the log, in their own time. */
async function closes(src, base) {
  for (const end = Date.now() + patience; (await open(src, base)).status !== 404; ) assert.ok(Date.now() < end, `${src} stays open at ${base}`);
  await closed(src, base);
}

test("a room's links are revoked everywhere, and those who are there get new ones", async () => {
  const [ann, bob] = [await guest("Ann"), await guest("Bob")];
  const room = `links-${process.pid}`;
  assert.equal((await call("POST", "/v1/rooms", ann.token, { id: room, name: "Links", visibility: "private" })).status, 201);
  assert.equal((await call("PUT", `/v1/rooms/${room}/participants/${bob.user.id}`, ann.token, { role: "editor" })).status, 200);
  const a = viewer(room, ann.token, front);
  const b = viewer(room, bob.token, nodes[1]);
  a.socket.send(JSON.stringify({ type: "image:add", data: { id: "p", src: png, x: 0, y: 0, width: 1, height: 1, rotation: 0 } }));
  const ours = (s) => s.startsWith(`${front}/v1/assets/`);
  const old = await b.shows("the picture", ours);
  assert.equal(await a.shows("the picture", ours), old);
  for (const base of [front, ...nodes]) {
    assert.match((await opens(old, base)).cache, /^private,/);
  }
  assert.equal((await call("POST", `/v1/rooms/${room}/rotate-key`, bob.token)).status, 403);
  await opens(old, nodes[0]);

  assert.equal((await call("POST", `/v1/rooms/${room}/rotate-key`, ann.token)).status, 200);
  await closed(old, nodes[0]);
  await closed(old, front);
  await closes(old, nodes[1]);
  const fresh = await a.shows("the new address", (s) => ours(s) && s !== old);
  assert.equal(await b.shows("the new address", (s) => ours(s) && s !== old), fresh);
  for (const base of [front, ...nodes]) await opens(fresh, base);
  const late = viewer(room, bob.token, front);
  assert.equal(await late.shows("the new address", ours), fresh);

  // What somebody still holds is the same picture, also where it comes back: nothing changes but for who was told otherwise.
  const before = (await call("GET", `/v1/rooms/${room}`, ann.token)).body.revision;
  b.socket.send(JSON.stringify({ type: "image:update", data: { id: "p", src: old, x: 5, y: 0, width: 1, height: 1, rotation: 0 } }));
  await fact("the move", async () => (await canvas(room, ann.token))[0].x === 5);
  const events = (await call("GET", `/v1/rooms/${room}/events?after=${before}`, ann.token)).body.events;
  assert.deepEqual(events.filter((e) => e.type === "element.patched").map((e) => e.data.set), [{ x: 5 }]);
});

test("a room that turns private takes its links back", async () => {
  const ann = await guest("Ann");
  const room = `turns-${process.pid}`;
  assert.equal((await call("POST", "/v1/rooms", ann.token, { id: room, name: "Turns", visibility: "public" })).status, 201);
  const a = viewer(room, ann.token, front);
  const passer = viewer(room, "", nodes[0]);
  a.socket.send(JSON.stringify({ type: "image:add", data: { id: "p", src: png, x: 0, y: 0, width: 1, height: 1, rotation: 0 } }));
  const old = await passer.shows("the picture", (s) => s.startsWith(`${front}/v1/assets/`));
  // Caches that many share ask again each time.
  for (const base of [front, nodes[0]]) assert.match((await opens(old, base)).cache, /^public, .*s-maxage=0$/);
  assert.equal((await call("PATCH", `/v1/rooms/${room}`, ann.token, { visibility: "private" })).status, 200);
  for (const base of [front, nodes[0]]) await closed(old, base);
  await closes(old, nodes[1]);
  const fresh = await a.shows("the new address", (s) => s !== old && s.startsWith(front));
  for (const base of [front, ...nodes]) assert.match((await opens(fresh, base)).cache, /^private,/);
});

const canvas = async (room, token) => (await call("GET", `/v1/rooms/${room}/canvas`, token)).body.elements;

async function fact(what, f) {
  for (const end = Date.now() + patience; !(await f()); ) assert.ok(Date.now() < end, `${what}: not within a minute`);
}
