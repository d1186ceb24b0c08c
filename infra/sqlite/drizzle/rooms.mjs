// The guide's query, by Drizzle on the projections' tables: node rooms.mjs FILE for those in SQLite, node rooms.mjs URL for those in D1,
// where URL is that of D1's query API and its token in the environment variable TOKEN. Prints the rows as JSON.
import { createClient } from "@libsql/client";
import { desc, eq } from "drizzle-orm";
import { drizzle as onFile } from "drizzle-orm/libsql";
import { integer, sqliteTable, text } from "drizzle-orm/sqlite-core";
import { drizzle as onProxy } from "drizzle-orm/sqlite-proxy";

// As the guide declares it, for SQLite; the columns that Kanvas adds are not known to it.
const users = sqliteTable("users", {
  id: text("id").primaryKey(),
  email: text("email").notNull(),
  name: text("name"),
  avatar_url: text("avatar_url"),
  created_at: text("created_at"),
});
const rooms = sqliteTable("rooms", {
  id: text("id").primaryKey(),
  name: text("name").notNull(),
  description: text("description"),
  is_public: integer("is_public", { mode: "boolean" }).default(true),
  owner_id: text("owner_id").references(() => users.id),
  created_at: text("created_at"),
});

const target = process.argv[2];

async function inD1(sql, params) {
  const answer = await fetch(target, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${process.env.TOKEN}` },
    body: JSON.stringify({ sql, params }),
  });
  const body = await answer.json();
  if (!body.success) throw new Error(JSON.stringify(body.errors));
  return { rows: body.result[0].results.rows };
}

const client = target.startsWith("http") ? undefined : createClient({ url: `file:${target}` });
const db = client ? onFile(client) : onProxy(inD1);
const rows = await db.select().from(rooms).where(eq(rooms.is_public, true)).orderBy(desc(rooms.created_at)).limit(50);
console.log(JSON.stringify(rows));
client?.close();
