// Package watermill runs process handlers: functions that follow the log one record at a time (snapshots,
// taken-out pictures). The wiring is Watermill's Router over a watermill-nats subscriber on the log's own streams.
//
// # What is promised
//
//   - A handler sees the records of each stream in log order, from the first record that the log has, each at least once.
//     After a crash the last few may come again: Fn must not mind.
//   - A record that keeps failing parks its stream for that handler: the record and the reason go to the stream
//     KANVAS_POISON, the handler sees no later record of that stream, everything else goes on. Release replays.
//   - An error that is about the world rather than the record (log read-only, unknown outcome, cancelled) never parks: the
//     record is delivered again after a second, and its partition waits.
//
// # How
//
// Each handler, or set of handlers that share one, has a lane in each partition: a durable push consumer with MaxAckPending 1. The Router starts a goroutine a
// message, but with one message out at a time, and the next only after its ack, they never overlap. Only one process
// at a time can run a handler; Run fails for the second one, which may try again as a standby.
//
// Lock order: a lane's turn, then Runner.parked.mu. Fn runs while its lane's turn is held and nothing else.
package watermill
