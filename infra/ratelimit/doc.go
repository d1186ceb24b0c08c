// Package ratelimit counts what callers do, by the sliding window of @upstash/ratelimit: a request passes while
//
//	floor((1 − elapsed share of this window) × count of the window before) + count of this window < limit
//
// and what is refused counts nothing. There are three stores of the counts, held to one suite (ratelimittest):
//
//   - Memory: this process alone. It stands in for the others where they can't be asked.
//   - JetStream: streams beside the log, shared by all nodes. One message a caller and action holds the counts of all its windows, and is
//     replaced under the stream's check of the last sequence, so that two nodes can't both count the last one. Inside a node callers of one key
//     queue, and a key known to be full is refused without asking. Limits that spend are in files, synced as the log is; the others in memory.
//   - Upstash: a Redis REST store, with keys and rule of the npm package, so that a front end that uses it and this server share counts.
//
// Limiter puts a deadline and a circuit breaker before a store. While the store is away, limits that spend are refused and the others are
// counted by Memory; one line in the log says when that begins and one when it ends.
package ratelimit
