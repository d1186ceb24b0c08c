// Package events holds what happened: event types, their payloads, the commit that groups the events of one append,
// its codec and hash chain, and the upcasters for payload versions that are no longer written.
//
// It imports the standard library only. Everything in it is a value; nothing here is safe to mutate once shared.
//
// Terms: a Stream is one room, user or asset. A Revision numbers an event in its stream, from 1, without gaps.
// A Commit is the events of one append, all or nothing. A Sequence is the position of a commit in its log partition
// (given by the log, rising, with gaps as seen by one stream).
package events
