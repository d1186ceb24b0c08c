// The real server, as a process of its own, for browser tests.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** Where clients go instead: a Worker in front of the server, which expects it at `KANVAS_BEHIND`. */
const front = process.env.KANVAS_FRONT;

/** Starts `$KANVAS_BIN serve` and waits for its "listening" line. `listen` '127.0.0.1:0' picks a free port; a later start takes the first one's. `env` is added to the environment. */
export async function startServer({ data, listen = process.env.KANVAS_BEHIND ?? '127.0.0.1:0', env = {} }) {
  const binary = process.env.KANVAS_BIN;
  if (!binary) throw new Error('KANVAS_BIN must name the server binary: run "make browser", or "go build" and set it');
  const child = spawn(binary, ['serve', '--listen', listen, '--data', data], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  const log = [];
  const listening = new Promise((resolve, reject) => {
    const line = (text) => {
      log.push(text);
      if (log.length > 400) log.shift();
      const found = parse(text);
      if (found?.event === 'listening') resolve(found.address);
    };
    for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', line);
    child.once('error', reject);
    child.once('exit', (code, signal) => reject(new Error(`the server ended (${code ?? signal}) before it listened:\n${log.join('\n')}`)));
  });
  const exited = once(child, 'exit');
  const where = await listening;
  return {
    listen: where,
    address: front ? new URL(front).host : where,
    url: front ?? `http://${where}`,
    log,
    async kill(signal) {
      child.kill(signal);
      await exited;
    },
  };
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Calls the API; fails on anything but a success. */
export async function api(server, token, method, path, body) {
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
  const response = await fetch(server.url + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return text === '' ? undefined : JSON.parse(text);
}

/** Waits for a fact; `look` returns it or something falsy. */
export async function eventually(what, look, timeout = 15_000) {
  const end = Date.now() + timeout;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${timeout} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
