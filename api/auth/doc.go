// Package auth says who asks and from where: tokens of guests and of `kanvas token`, one-use tickets, capabilities of rooms, the rules for
// Origin and Host, and the client's address behind trusted proxies. What somebody may do is decided by the room, never here.
//
// All types are safe for concurrent use. Nothing here logs; no error holds a token, ticket or capability.
package auth
