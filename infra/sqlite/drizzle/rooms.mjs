// The guide's query, by Drizzle on the file of the projections: node rooms.mjs FILE prints the rows as JSON.
import { createClient } from "@libsql/client";
import { desc, eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/libsql";
import { integer, sqliteTable, text } from "drizzle-orm/sqlite-core";

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

const client = createClient({ url: `file:${process.argv[2]}` });
const db = drizzle(client);
const rows = await db.select().from(rooms).where(eq(rooms.is_public, true)).orderBy(desc(rooms.created_at)).limit(50);
console.log(JSON.stringify(rows));
client.close();
