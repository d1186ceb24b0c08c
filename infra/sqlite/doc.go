// Package sqlite keeps the projection tables in one SQLite file, kanvas.db, and answers what the API reads from them.
//
// One connection writes, a pool of others reads (WAL: neither waits for the other). synchronous is NORMAL: after a power cut the newest
// transactions may be gone, whole ones and with their checkpoints, so projectors make them again from the log, which is the truth;
// an fsync per batch would buy nothing. Other processes may open the file at the same time (a Drizzle client, another subcommand).
package sqlite
