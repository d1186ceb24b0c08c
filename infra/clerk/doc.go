// Package clerk is where Kanvas meets Clerk, which signs people in: it verifies session tokens (Verifier), reads webhooks (Webhook) and asks for
// single users (Backend).
//
// All types are safe for concurrent use and start no goroutine. No error holds a token, a key or a body. Keys are fetched when a token needs them,
// one fetch at a time, and not more often than keyPause whatever tokens come in.
package clerk
