// Package api is the HTTP edge: routes of the v1 contract, the bridge and sockets of old clients (served by the realtime hub), the page,
// health, metrics and the OpenAPI document. It decides nothing about rooms: what may be done is asked of commands and its rooms, lists are
// read from projections, and every refusal leaves as problem details with a stable code (error.go).
//
// # A request's way
//
// request id → access log and metrics → panics → Host, Origin and CORS → who asks → rate → handler. Whoever can't name a token is
// anonymous: it may read rooms that anybody may enter and nothing more. Bodies are read under a size limit and a deadline, checked by
// events.CheckJSON and decoded member by member; unknown members are refused, so that nobody is told "done" about something ignored.
//
// # Bounds
//
// Every map kept per caller is an LRU of fixed size. Answers are written in chunks with a deadline each (writeStall), so a client that reads
// nothing is cut whatever it asked for. Event streams hold at most sseBuffer commits; past it they read the log at the reader's own pace.
//
// # Goroutines
//
// The package starts none: a request's goroutine does its work and ends with it. Drain ends event streams and refuses changes; it
// belongs before the server's Shutdown.
package api
