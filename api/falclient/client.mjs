// Makes the calls of the front end by the real @fal-ai/client through this server's proxy, one JSON object a line in, one out.
import { createInterface } from "node:readline";
import { createFalClient } from "@fal-ai/client";

const clients = new Map();
function clientOf(key) {
  if (!clients.has(key)) {
    clients.set(key, createFalClient({
      credentials: key || undefined, suppressLocalCredentialsWarning: true, retry: { maxRetries: 0 },
      proxyUrl: { url: process.env.KANVAS_URL + "/api/fal", when: "always" },
    }));
  }
  return clients.get(key);
}

const calls = {
  async run(fal, { model, input }) {
    return (await fal.run(model, { input })).data;
  },
  async subscribe(fal, { model, input, mode }) {
    const seen = [];
    const result = await fal.subscribe(model, { input, mode, pollInterval: 5, logs: true, onQueueUpdate: (u) => seen.push(u.status) });
    return { data: result.data, requestId: result.requestId, seen: [...new Set(seen)] };
  },
  async stream(fal, { model, input }) {
    const stream = await fal.stream(model, { input });
    const events = [];
    for await (const event of stream) {
      events.push(event);
      console.log(JSON.stringify({ event })); // at once: the test lets the next one go when it has seen this one
    }
    return { events, done: await stream.done() };
  },
  async queue(fal, { model, input }) {
    const { request_id: requestId } = await fal.queue.submit(model, { input, priority: "low", hint: "gpu-1" });
    const status = await fal.queue.status(model, { requestId, logs: true });
    await fal.queue.cancel(model, { requestId });
    const after = await fal.queue.status(model, { requestId });
    return { requestId, status: status.status, after: after.status };
  },
  async upload(fal, { text }) {
    return { url: await fal.storage.upload(new File([text], "note.txt", { type: "text/plain" })) };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const ask = JSON.parse(line);
  try {
    console.log(JSON.stringify({ ok: await calls[ask.call](clientOf(ask.key), ask) }));
  } catch (e) {
    console.log(JSON.stringify({ error: { status: e.status, message: e.message, body: e.body } }));
  }
}
