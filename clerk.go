package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/infinite-kanvas/kanvas/api"
	"github.com/infinite-kanvas/kanvas/api/auth"
	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/infra/clerk"
	"github.com/infinite-kanvas/kanvas/infra/config"
)

// openClerk is what of Clerk is configured: verifiers of its session tokens (none or one), and its webhook or nil.
func openClerk(c *config.Clerk, people *commands.People, logger *slog.Logger) (sessions []auth.TokenVerifier, webhook api.Directory, err error) {
	cfg := clerk.Config{PEM: c.PEM, JWKSURL: c.JWKSURL, Issuer: c.Issuer, SecretKey: c.SecretKey, APIURL: c.APIURL, Parties: c.Parties}
	if c.Sessions() {
		s := clerkSessions{people: people, logger: logger}
		if s.verifier, err = clerk.NewVerifier(cfg); err != nil {
			return nil, nil, err
		}
		if c.SecretKey != "" {
			if s.backend, err = clerk.NewBackend(cfg); err != nil {
				return nil, nil, err
			}
		}
		sessions = append(sessions, s)
	}
	if c.WebhookSecret != "" {
		w, err := clerk.NewWebhook(c.WebhookSecret)
		if err != nil {
			return nil, nil, err
		}
		webhook = w
	}
	return sessions, webhook, nil
}

// clerkSessions makes Clerk's session tokens count: who bears one for the first time becomes a person here, by their own name where Clerk can be
// asked for it; else the webhook brings it.
type clerkSessions struct {
	verifier *clerk.Verifier
	backend  *clerk.Backend // nil: without a secret key
	people   *commands.People
	logger   *slog.Logger
}

// Verify implements auth.TokenVerifier.
func (s clerkSessions) Verify(ctx context.Context, token string) (auth.Identity, error) {
	session, err := s.verifier.Verify(ctx, token)
	id := auth.Identity{User: session.User, Kind: commands.KindClerk, IssuedAt: session.IssuedAt, Expires: session.Expires}
	switch {
	case errors.Is(err, clerk.ErrToken), err == nil && !commands.ValidDirectoryID(session.User):
		return auth.Identity{}, auth.ErrToken
	case errors.Is(err, clerk.ErrExpired):
		return id, auth.ErrExpired
	case err != nil:
		s.logger.Error("clerk_unreachable", "error", err.Error())
		return auth.Identity{}, domain.Errorf(domain.CodeUpstreamFailed, "who signed in can't be checked now, try again")
	}
	return id, s.ensure(ctx, id.User)
}

// ensure makes the person where it is unknown.
func (s clerkSessions) ensure(ctx context.Context, id string) error {
	known, err := s.people.Known(ctx, id)
	if err != nil {
		return err
	}
	if !known && s.backend != nil {
		if u, err := s.backend.User(ctx, id); err != nil {
			s.logger.Warn("clerk_user_unknown", "userId", id, "error", err.Error())
		} else if err := s.people.ApplyDirectory(ctx, commands.DirectoryChange{User: u}); err != nil {
			return err
		}
	}
	_, err = s.people.Ensure(ctx, id, commands.KindClerk, commands.NameOf(id))
	var refused *domain.Error
	if errors.As(err, &refused) && refused.Code == domain.CodeForbidden {
		return domain.Errorf(domain.CodeUnauthenticated, "%s", refused.Detail)
	}
	return err
}
