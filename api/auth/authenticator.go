package auth

import (
	"context"
	"errors"
)

// Authenticator finds out who a token speaks for, by asking this server's own tokens and then other issuers' verifiers (Clerk) in order.
type Authenticator struct {
	own      *Tokens
	sessions []TokenVerifier
}

// NewAuthenticator uses own tokens and those of sessions, the issuers whose tokens may also come in the session cookie.
func NewAuthenticator(own *Tokens, sessions ...TokenVerifier) *Authenticator {
	return &Authenticator{own: own, sessions: sessions}
}

// Tokens gives the signer of this server's own tokens.
func (a *Authenticator) Tokens() *Tokens { return a.own }

// Authenticate returns who token speaks for. Errors: ErrToken where nobody knows it, ErrExpired with the Identity where one did; any other
// error means that a verifier could not be asked, and the caller should say so rather than call the token wrong.
func (a *Authenticator) Authenticate(ctx context.Context, token string) (Identity, error) {
	id, err := a.own.Verify(ctx, token)
	if !errors.Is(err, ErrToken) {
		return id, err
	}
	return a.Session(ctx, token)
}

// HasSessions reports whether a session cookie can mean anything here.
func (a *Authenticator) HasSessions() bool { return len(a.sessions) > 0 }

// Session is Authenticate for what came in the session cookie: this server's own tokens do not count there.
func (a *Authenticator) Session(ctx context.Context, token string) (Identity, error) {
	if len(token) == 0 || len(token) > MaxTokenBytes {
		return Identity{}, ErrToken
	}
	for _, v := range a.sessions {
		if id, err := v.Verify(ctx, token); !errors.Is(err, ErrToken) {
			return id, err
		}
	}
	return Identity{}, ErrToken
}
