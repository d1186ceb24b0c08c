// Package jetstream keeps Kanvas's log, its cache and the keys of people in NATS JetStream: in a server inside this
// process, or in an external one. It implements commands.Log, commands.KV, commands.Keys and projections.Source.
//
// # What is promised
//
//   - A nil error of Append means: the commit is on disk (embedded with durability "always"), or held by the stream's quorum.
//   - Order: commits of one stream have rising sequences; Append checks the last one, so two writers never both win.
//   - Durability "interval" fsyncs every two seconds: a power cut loses what came since; kill -9 loses nothing.
//
// # Streams and subjects
//
// Partition p is the stream KANVAS_p with the subjects kanvas.p.room.*, kanvas.p.user.* and kanvas.p.asset.*. On an external
// server it republishes each stored commit to live.p.…. A stream's id is a subject token as it is: ids are A–Z a–z 0–9 _ - and ":",
// all of which NATS takes. The number of partitions is kept in the streams' metadata.
//
// # Connections and goroutines
//
// A Store has three connections: appends, reads and live subscriptions, so that none waits behind another's bytes.
// Each connection's goroutines are nats.go's; those of the Store (the disk guard) end in Close. Watch callbacks run one at
// a time: with an external server on one goroutine per watch, with the embedded one in Append (local.go). Locks: mux.mu, head.mu and watch.mu are leaves; nothing is called while one of them is held,
// but for watch.mu, under which the watcher's own function runs.
package jetstream
