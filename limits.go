package main

import (
	"context"
	"fmt"

	"github.com/infinite-kanvas/kanvas/api"
	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/infra/ratelimit"
)

// openLimiter opens the store of the limits that all nodes share: Upstash's where one is configured, else the log's engine.
func (n *node) openLimiter() (*ratelimit.Limiter, error) {
	store, name, err := n.openLimitStore()
	if err != nil {
		return nil, fmt.Errorf("open limits: %w", err)
	}
	n.limits, err = ratelimit.New(ratelimit.Config{Store: store, Name: name, Registerer: n.reg, Logger: n.logger})
	return n.limits, err
}

// mayMake counts the rooms that old clients make; nil where limits on rates are off.
func (n *node) mayMake() func(context.Context, string) error {
	if !n.cfg.RateLimits {
		return nil
	}
	return func(ctx context.Context, address string) error {
		t, err := n.limits.Take(ctx, api.RoomsBorn, commands.Caller{ID: address, IP: address}, 1)
		switch {
		case err != nil:
			return fmt.Errorf("count a new room: %w", err)
		case !t.OK:
			return domain.Errorf(domain.CodeRateLimited, "more than %d new rooms in %s", t.Window.Max, t.Window.Per)
		}
		return nil
	}
}

// readyLimits is a line of /readyz: without the store this node serves on, but for what costs money.
func (n *node) readyLimits() []api.Check {
	if n.limits == nil {
		return nil
	}
	c := api.Check{Name: "limits", OK: true, Optional: true}
	if err := n.limits.Down(); err != nil {
		c.OK, c.Detail = false, "what costs money is refused, other limits are counted by this node alone: "+err.Error()
	}
	return []api.Check{c}
}

func (n *node) openLimitStore() (store commands.Limiter, name string, err error) {
	if n.cfg.Upstash.URL == "" {
		ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
		defer cancel()
		store, err = ratelimit.OpenJetStream(ctx, n.log.JetStream(), n.log.Replicas(), nil)
		return store, "jetstream", err
	}
	u, err := ratelimit.NewUpstash(ratelimit.UpstashConfig{
		URL: n.cfg.Upstash.URL, Token: n.cfg.Upstash.Token, Prefix: n.cfg.RatePrefix, Identifier: n.cfg.RateIdentifier, Action: api.ActionFal,
	})
	if err != nil {
		return nil, "", err
	}
	n.onClose("limits", func(context.Context) error { u.Close(); return nil })
	return u, "upstash", nil
}
