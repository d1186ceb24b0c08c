// Reads one JSON object a line: {prefix, id, max, per (ms), now? (ms), times}, calls limit() so many times at once, and answers
// {passed, remaining} (of the last answer) on a line. Ends with its input.
import { createInterface } from "node:readline";
import { Ratelimit } from "@upstash/ratelimit";
import { Redis } from "@upstash/redis";

const redis = new Redis({ url: process.env.KV_REST_API_URL, token: process.env.KV_REST_API_TOKEN, enableTelemetry: false });
const systemNow = Date.now;

for await (const line of createInterface({ input: process.stdin })) {
  const ask = JSON.parse(line);
  Date.now = ask.now === undefined ? systemNow : () => ask.now;
  // timeout 0: the library passes everything when the store is slow, which would hide a wrong count.
  const limiter = new Ratelimit({
    redis, prefix: ask.prefix, limiter: Ratelimit.slidingWindow(ask.max, `${ask.per} ms`), ephemeralCache: false, timeout: 0, analytics: false,
  });
  const answers = await Promise.all(Array.from({ length: ask.times }, () => limiter.limit(ask.id)));
  console.log(JSON.stringify({ passed: answers.filter((a) => a.success).length, remaining: answers.at(-1).remaining }));
}
