// Package realtime holds the sockets of all rooms: it takes clients' commands to the rooms and pushes what happens to the clients.
//
// # Goroutines
//
// A socket has two: its reader (socket.start), which parses, prepares and hands in what the client sends, and its writer (conn.run), the
// only one that writes. A room with sockets has one (room.run), which owns everything the sockets of the room share: who is here,
// roles, the newest positions, recent commits. It does no IO and never blocks; everything reaches it through its mailbox (room.post), in
// order: commits from the room's actor, places of newcomers among them, answers to commands, and what readers leave.
// The exception is the names and texts in a commit (commands.Users), which are cached, and bounded by lookupTimeout where not.
//
// Order: a commit is in the mailbox before the answer to its command, and a newcomer's view exactly between the commits it shows and
// those after. A conn's queue keeps that order. Lock order: conn.mu before mailbox.mu; no other two are held together, and none
// while writing to a socket.
//
// # Two protocols on one room
//
// A protocol is a reader (a function run by socket.start, as v1Conn.serve) and a half: its part of a room, made when its first socket joins.
// All methods of half run in the room's goroutine. To add a protocol:
//
//   - ServeX: s := hub.open(w, r, "x", subprotocols…), nil where refused; s.start(serve). In serve: find out who it is,
//     hub.gate.enterUser (and s.user, so that it is given back), p := newPeer(identity, client), p.ext = its own state,
//     s.join(ctx, roomID, p, newHalf); when join returns and s.conn.open(), read frames with s.read until an error or !s.conn.open(). What the reader wants done in the room: p.room.post(funcMail(func(r *room) {…})).
//   - Durable requests: p.flight.acquire in the reader (this is the backpressure), Prepare, p.submit; the answer is half.replied. In the room's
//     goroutine use p.room.watch.Submit with a reply that posts a funcMail.
//   - half.joined(p, view): what view shows and every commit passed to half.committed from then on is what p has to be told. Snapshots go out as
//     a stream (conn.sendStream, encoded in the writer, once per view by View.Cached); see v1Half for how commits that come while a
//     stream is written are caught up from a ring of recent ones.
//   - Frames are whole WebSocket frames, built by newFrame/finishFrame or several in one slice by appendFrame, and shared: encode once, then
//     p.send the same bytes to every peer. p.sendOwn copies small ones. p.sendEphemeral of conn queues what may be dropped, with a receipt
//     that tells whether it was written, and conn.withdraw takes it back while it waits. Room code calls p.send… and
//     never flushes: the room has them written when it has handled its mail, in crowds at most once per FlushTick; half.flushing
//     (after room.wantFlush, or when something else is flushed) is the last chance to add something. A reader that queues a frame itself calls conn.sendOwn and conn.flush.
//   - WebSocket pings are frames too (controlFrame(opPing, payload) through p.send, in order with the rest); answers come to socket.onPong in
//     the reader.
//   - Positions and previews: p.setCursor, p.setViewport, p.setPreview from the reader or the room; half.moved gets the peers that moved, of all
//     protocols, with the newest values in p.cursor, p.viewport (p.changed) and p.previews.
//   - room.after runs something later in the room's goroutine. room.peers are the peers of all protocols; p.half == h are one's own.
//   - Rights: peers' roles are brought up to a commit before half.committed is called for it; sockets that lost the room are closed after it.
//
// # Queues
//
// What waits for a socket is bounded (Limits.QueueBytes, and Limits.LargeBytes for single frames beyond it); past it ephemeral frames are dropped, then the socket is closed with 4508 and the client
// resumes. A reader stops reading at Limits.InFlight unanswered commands. The mailbox takes all but commits from bounded senders; past
// Limits.Mailbox commits the room closes its sockets with 4503.
package realtime
