// Package wire writes the JSON of the v1 contract: events, commits, rooms, snapshots and problem details, the same bytes over
// HTTP and over sockets. Encoders append to a slice and hold no state; all of them may be used concurrently.
//
// What people wrote or are called is sealed in events. It is opened here, on its way out, and nowhere else: sealed text itself
// never leaves. Where the key of a person is gone the text is "" and "forgotten" is true.
package wire
