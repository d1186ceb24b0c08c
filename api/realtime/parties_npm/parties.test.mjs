// The old protocol as its real client speaks it: `partysocket`, against the server at KANVAS_HOST. Run by TestPartysocket (Go).
import assert from "node:assert/strict";
import { test } from "node:test";
import { PartySocket } from "partysocket";
import WebSocket from "ws";

const host = process.env.KANVAS_HOST;
const cut = process.env.KANVAS_CUT ?? `http://${host}/cut`;
const publicURL = process.env.KANVAS_PUBLIC_URL;
const patience = 20_000;
const png =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

let rooms = 0;
const newRoom = () => `npm-${process.pid}-${rooms++}`;
const picture = (id, more = {}) => ({ id, src: "https://example.com/p.png", x: 0, y: 0, width: 10, height: 10, rotation: 0, ...more });

/** A client that keeps every message and the canvas, as the front end does. */
class Client {
  constructor(room, id, { party = "main", query = {}, ...options } = {}) {
    this.messages = [];
    this.waiting = [];
    this.canvas = new Map();
    this.opened = 0;
    this.socket = new PartySocket({ host, party, room, id, query, WebSocket, minReconnectionDelay: 50, maxReconnectionDelay: 200, ...options });
    this.socket.addEventListener("open", () => this.opened++);
    this.socket.addEventListener("message", (e) => this.take(JSON.parse(e.data)));
  }
  take(m) {
    const d = m.data;
    if (m.type === "sync:full") this.canvas = new Map(d.images.map((e) => [e.id, e]));
    if (m.type === "image:add" || (m.type === "image:update" && this.canvas.has(d.id))) this.canvas.set(d.id, d);
    if (m.type === "image:remove") this.canvas.delete(d.imageId);
    this.messages.push(m);
    for (const w of [...this.waiting]) w();
  }
  /** The first message, from `from` on, that f is true for. */
  wait(what, f, from = 0) {
    return new Promise((resolve, reject) => {
      const look = () => {
        const m = this.messages.slice(from).find(f);
        if (!m) return;
        clearTimeout(timer);
        this.waiting = this.waiting.filter((w) => w !== look);
        resolve(m);
      };
      const timer = setTimeout(
        () => reject(new Error(`no ${what}; got ${this.messages.map((m) => m.type).join(" ")}; canvas ${JSON.stringify([...this.canvas.values()])}`)),
        patience,
      );
      this.waiting.push(look);
      look();
    });
  }
  of(type, from = 0) {
    return this.wait(type, (m) => m.type === type, from);
  }
  shows(id, props) {
    return this.wait(`${id} ${JSON.stringify(props)}`, () =>
      Object.entries(props).every(([k, v]) => JSON.stringify(this.canvas.get(id)?.[k]) === JSON.stringify(v)));
  }
  send(type, data) {
    if (type === "image:add" || type === "image:update") this.canvas.set(data.id, data);
    if (type === "image:remove") this.canvas.delete(data.imageId);
    this.socket.send(JSON.stringify({ type, data }));
  }
  close() {
    this.socket.close();
  }
}

const entered = async (...args) => {
  const c = new Client(...args);
  await c.of("connection:info");
  return c;
};

const closing = (t, ...clients) => t.after(() => clients.forEach((c) => c.close()));

test("a room is born by connecting to it; every message of the reference", async (t) => {
  const room = newRoom();
  const a = await entered(room, "aaaa-1111", { query: { name: "Ann" } });
  const b = await entered(room, "bbbb-2222");
  closing(t, a, b);
  assert.deepEqual(b.messages.slice(0, 4).map((m) => m.type), ["sync:full", "chat:history", "presence:join", "connection:info"]);
  assert.deepEqual(b.messages[0].data, { images: [], viewport: { x: 0, y: 0, scale: 1 } });
  const me = b.messages[3].data;
  assert.equal(me.userId, "bbbb-2222");
  assert.equal(me.name, "User bbbb");
  assert.match(me.color, /^#(FF6B6B|4ECDC4|45B7D1|96CEB4|FECA57|FF9FF3|54A0FF|48DBFB)$/);
  const join = await a.of("presence:join");
  assert.deepEqual(join.data, { userId: "bbbb-2222", cursor: null, color: me.color, name: "User bbbb" });

  a.send("image:add", picture("e1", { isGenerated: true, parentGroupId: "g", unknown: { kept: [1, "two"] } }));
  assert.deepEqual((await b.of("image:add")).data, picture("e1", { isGenerated: true, parentGroupId: "g", unknown: { kept: [1, "two"] } }));
  const video = { ...picture("v1"), isVideo: true, duration: 3.5, currentTime: 0, isPlaying: false, volume: 1, muted: false };
  a.send("image:add", video);
  await b.shows("v1", { duration: 3.5 });
  b.send("image:update", { ...b.canvas.get("e1"), x: 44, unknown: { kept: [2] } });
  await a.shows("e1", { x: 44, unknown: { kept: [2] }, isGenerated: true });
  const { parentGroupId, ...rest } = b.canvas.get("e1");
  b.send("image:update", rest);
  await a.shows("e1", { parentGroupId: undefined, x: 44 });

  a.send("cursor:move", { userId: "bbbb-2222", cursor: { x: 3, y: 4 } });
  const cursor = await b.of("cursor:move");
  assert.deepEqual(cursor.data, { userId: "aaaa-1111", cursor: { x: 3, y: 4 }, color: a.messages.find((m) => m.type === "connection:info").data.color, name: "Ann" });
  a.send("viewport:change", { x: 1, y: 2, scale: 3 });
  assert.deepEqual((await b.of("viewport:change")).data, { userId: "aaaa-1111", viewport: { x: 1, y: 2, scale: 3 } });
  a.send("generation:start", { imageId: "e1" });
  a.send("generation:complete", { imageId: "e1" });
  assert.deepEqual((await b.of("generation:start")).data, { imageId: "e1" });
  assert.deepEqual((await b.of("generation:complete")).data, { imageId: "e1" });

  a.send("chat:send", { text: "hello" });
  const [ours, theirs] = await Promise.all([a.of("chat:new"), b.of("chat:new")]);
  assert.deepEqual(ours, theirs);
  assert.deepEqual({ ...ours.data, id: "", timestamp: 0 }, { id: "", userId: "aaaa-1111", name: "Ann", color: cursor.data.color, text: "hello", timestamp: 0 });
  assert.ok(Math.abs(Date.now() - ours.data.timestamp) < 60_000);

  b.send("image:remove", { imageId: "v1" });
  await a.of("image:remove");
  assert.ok(!a.canvas.has("v1"));

  const c = await entered(room, "cccc");
  assert.deepEqual([...c.canvas.keys()], ["e1"]);
  assert.deepEqual((await c.of("chat:history")).data, [ours.data]);
  c.close();
  assert.deepEqual((await a.of("presence:leave")).data, { userId: "cccc" });
});

test("a picture as a data URL becomes an asset that old clients can load without a token", async (t) => {
  const room = newRoom();
  const a = await entered(room, "a");
  const b = await entered(room, "b");
  closing(t, a, b);
  a.send("image:add", picture("p", { src: png }));
  const { src } = (await b.of("image:add")).data;
  assert.ok(src.startsWith(`${publicURL}/v1/assets/`), src);
  assert.match(src, new RegExp(`/v1/assets/[^/?]+\\?room=${room}&cap=.+$`));
  a.send("image:update", { ...a.canvas.get("p"), x: 5 }); // still with the data URL
  await b.shows("p", { x: 5, src });
  b.send("image:update", { ...b.canvas.get("p"), y: 6 }); // with the address
  await a.shows("p", { x: 5, y: 6 });
  b.send("image:add", picture("evil", { src: "data:image/svg+xml;base64,PHN2Zy8+" }));
  await b.of("image:remove"); // refused: the truth is that there is none
});

test("a stranger who reuses a _pk is somebody else", async (t) => {
  const room = newRoom();
  const a = await entered(room, "same");
  const b = await entered(room, "same");
  closing(t, a, b);
  const { userId } = (await b.of("connection:info")).data;
  assert.notEqual(userId, "same");
  assert.equal((await a.of("presence:join")).data.userId, userId);
});

test("a forged token is refused at the handshake", async () => {
  const status = await new Promise((resolve) => {
    const ws = new WebSocket(`ws://${host}/parties/main/x?_pk=x&token=bad`);
    ws.on("unexpected-response", (req, res) => {
      req.destroy(); // else it keeps the process
      resolve(res.statusCode);
    });
    ws.on("open", () => resolve(101));
    ws.on("error", () => {});
  });
  assert.equal(status, 401);
});

test("updates that were queued offline undo nothing", async (t) => {
  const room = newRoom();
  const a = await entered(room, "a");
  const b = await entered(room, "b");
  closing(t, a, b);
  a.send("image:add", picture("e"));
  await b.of("image:add");
  a.socket.reconnect(); // closes at once; what is sent now waits for the next connection
  a.send("image:update", { ...a.canvas.get("e"), y: 9 });
  b.send("image:update", { ...b.canvas.get("e"), x: 7 });
  await Promise.all([a, b].map((c) => c.shows("e", { x: 7, y: 9 })));
});

test("a reconnect in the middle of a drag", async (t) => {
  const room = newRoom();
  const a = await entered(room, "a");
  const b = await entered(room, "b");
  closing(t, a, b);
  a.send("image:add", picture("e"));
  await b.of("image:add");
  for (let x = 1; x <= 30; x++) a.send("image:update", { ...a.canvas.get("e"), x });
  const before = a.opened;
  const broken = new Promise((resolve) => a.socket.addEventListener("close", resolve, { once: true }));
  await fetch(cut); // all sockets of the room break, without a word
  await broken; // what is sent before that is lost where something in between still holds the client's end
  for (let x = 31; x <= 60; x++) a.send("image:update", { ...a.canvas.get("e"), x }); // queued by partysocket
  await Promise.all([a, b].map((c) => c.shows("e", { x: 60 })));
  await a.wait("a second connection", () => a.opened > before);
  const c = await entered(room, "c");
  closing(t, c);
  await c.shows("e", { x: 60 });
});

test("two people drag different members of one element", async (t) => {
  const room = newRoom();
  const a = await entered(room, "a");
  const b = await entered(room, "b");
  closing(t, a, b);
  a.send("image:add", picture("e"));
  await b.of("image:add");
  for (let i = 1; i <= 60; i++) { // nothing of the other's is read in between: all frames cross
    a.send("image:update", { ...a.canvas.get("e"), x: i });
    b.send("image:update", { ...b.canvas.get("e"), rotation: i });
  }
  await Promise.all([a, b].map((c) => c.shows("e", { x: 60, rotation: 60 })));
  const c = await entered(room, "c");
  closing(t, c);
  await c.shows("e", { x: 60, rotation: 60 });
});

test("the registry party", async (t) => {
  const id = newRoom();
  const l = new Client("registry", "l", { party: "registry" });
  await l.of("rooms");
  l.socket.send(JSON.stringify({ type: "room-created", roomId: id, name: "Listed", isPublic: true, creatorName: "Ann" }));
  const { room } = await l.wait("room-added", (m) => m.type === "room-added" && m.room.id === id);
  assert.deepEqual({ ...room, createdAt: 0, lastActivity: 0 }, { id, name: "Listed", isPublic: true, createdAt: 0, lastActivity: 0, userCount: 0, creatorName: "Ann" });
  const a = await entered(id, "a");
  closing(t, l, a);
  await l.wait("room-updated", (m) => m.type === "room-updated" && m.roomId === id && m.updates.userCount === 1);
  const late = new Client("registry", "late", { party: "registry" });
  closing(t, late);
  assert.ok((await late.of("rooms")).rooms.some((r) => r.id === id && r.userCount === 1));
});
