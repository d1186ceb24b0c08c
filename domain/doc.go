// Package domain decides. Decide says which events a command makes of a room as it is, Evolve folds an event into the room.
//
// It is pure: it knows no clock, randomness, IO, goroutines or locks, and no result depends on the order of a map; so that
// everything here can be replayed, fuzzed and decided again after a conflict. It imports the standard library and events.
//
// A Room is not safe for concurrent use: one goroutine owns it. Elements, and all values in events and answers, are
// immutable once made and may be shared.
package domain
