// Package projections makes tables and cache entries from the log. Everything here can be deleted and comes back from it.
//
// A Runner follows the log: one reader per partition decodes commits and gets what their rows need from outside (canvases, opened names),
// and one applier folds what all readers found into a batch and hands it to the Store, as one transaction together with the
// checkpoints. So a batch is in the tables exactly once, whatever crashes when; and no two batches of one Runner run at the same time.
//
// Rows are reproducible: they depend on the streams' events alone, never on clocks, batch boundaries, or the order in which streams
// of different partitions are read. Each row has one stream that writes it; where a row refers to another stream's row, a stub without
// content is inserted first, which that stream's own events complete.
//
// A record that can't be applied parks its stream: the record is noted in the table "parked", that stream's later records are skipped
// until a rebuild, and all other streams go on. What may pass by itself (a locked file, an unreachable store) is tried again instead.
//
// Lock order: Runner.building, Runner.applying, then Runner.mu; no IO and no callback under mu.
package projections
