// Package d1 keeps the projections' tables in Cloudflare D1, beside the local ones, for the Worker, the front end's own queries and other
// tools. It speaks D1's query API, public or through the gateway Worker (see package cloudflare).
//
// D1 has no BEGIN, only an atomic batch. So the batch's first statement moves the checkpoint and fails the whole batch (NOT NULL) where the
// checkpoint is not where the projector thought; a batch is therefore applied once, however often it arrives. Where an answer is lost,
// reading the checkpoint says whether the batch was applied; a write is never repeated blindly, reads are.
//
// Limits of D1 and how they are kept: 100 parameters and 100 kB of SQL a statement (projections' statements stay far below), 1,000
// statements a call and about 10 MB (Limits splits a batch at commits beyond 500 statements or 2 MiB), 2 MB a row (canvases of more than
// 1 MiB are objects that a row names), integers beyond 2^53 come back rounded and are refused (sequences and revisions count from 1: at
// 5,700 commits a second they would get there in 50,000 years), calls of the whole account (package cloudflare).
//
// The schema is put there by wrangler or `kanvas provision` alone; CheckSchema says what is missing.
package d1
