// Plays Clerk's part for the Go tests with Clerk's, Svix's and the JOSE packages themselves: signs tokens and webhooks, and says what Clerk's own
// backend package thinks of a token. A line of JSON in is a request, a line of JSON out its answer.
import { createInterface } from "node:readline";
import { verifyToken } from "@clerk/backend";
import * as jose from "jose";
import { Webhook } from "svix";

const keys = new Map(); // by name: { kid, privateKey, publicKey, pem }

const make = {
  async key({ name, kid = name }) {
    const { publicKey, privateKey } = await jose.generateKeyPair("RS256", { modulusLength: 2048, extractable: true });
    const jwk = { ...(await jose.exportJWK(publicKey)), kid, use: "sig", alg: "RS256" };
    const pem = await jose.exportSPKI(publicKey);
    keys.set(name, { kid, privateKey, publicKey, pem });
    return { jwk, pem };
  },

  // how: { key, header?, claims, alg?, secret? } – secret signs with HMAC, as a forger would with the public key.
  async token({ key, header = {}, claims, alg = "RS256", secret }) {
    const k = keys.get(key);
    const all = { alg, typ: "JWT", kid: k.kid, ...header };
    for (const name of Object.keys(all)) if (all[name] === null) delete all[name];
    let signer = secret === undefined ? k.privateKey : new TextEncoder().encode(secret);
    if (secret === undefined && alg !== "RS256" && alg !== "none") {
      signer = await jose.importPKCS8(await jose.exportPKCS8(k.privateKey), alg);
    }
    if (alg === "none") {
      const part = (v) => jose.base64url.encode(JSON.stringify(v));
      return { token: `${part(all)}.${part(claims)}.` };
    }
    return { token: await new jose.SignJWT(claims).setProtectedHeader(all).sign(signer) };
  },

  // What Clerk's own package says of a token.
  async verdict({ key, token, parties }) {
    try {
      const claims = await verifyToken(token, { jwtKey: keys.get(key).pem, authorizedParties: parties, clockSkewInMs: 5000 });
      return { ok: true, sub: claims.sub };
    } catch (e) {
      return { ok: false, reason: e.reason ?? String(e.message) };
    }
  },

  // The headers of a message, signed by Svix's package.
  async webhook({ secret, id, at, body }) {
    const when = new Date(at * 1000);
    return { headers: { "svix-id": id, "svix-timestamp": String(at), "svix-signature": new Webhook(secret).sign(id, when, body) } };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { do: what, ...args } = JSON.parse(line);
  let answer;
  try {
    answer = await make[what](args);
  } catch (e) {
    answer = { error: String(e.stack ?? e) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
