// Package commands turns what people ask for into commits: the dispatcher of rooms, the actor that owns a room while it is in use,
// the preparation of commands, the streams of people and assets, and the process handlers that answer events with new commands.
//
// # Order and durability
//
// One goroutine (the actor) owns a room. It takes all requests that arrived while the last append was in flight, decides them in order on
// its own state and appends what they made as one commit. Nothing leaves the actor before that commit is durable: watchers are told first,
// then the requests are answered, in the order they were decided; rejections too, because they may have been decided on events that
// were not durable yet. Where an append fails, the state goes back to the last durable revision before anything else happens.
//
// # Concurrency
//
// Lock order: Dispatcher.mu, then mailbox.mu; ring.mu and viewCache.mu are leaves. No lock is held over IO, over a Watcher's methods or over a reply.
// Replies, Watcher methods and View functions run in the actor: they must not block.
//
// # Bounds
//
// A room takes at most MaxQueued requests of MaxQueuedBytes in all, waiting and being decided; more are refused at once with CodeReadOnly. Records of
// other nodes wait in a queue of 4 MiB; beyond it the queue is dropped and the tail is read from the log. At most Config.MaxRooms rooms are loaded.
package commands
