package main

import (
	"context"

	"github.com/infinite-kanvas/kanvas/infra/fal"
)

// openFal makes the calls of /api/fal; without a key of the server's, callers bring their own.
func (n *node) openFal() (*fal.Proxy, error) {
	c := fal.Config{Key: n.cfg.Fal.Key, Models: n.cfg.Fal.Models, Logger: n.logger, Registerer: n.reg}
	if underTest.fal != nil {
		underTest.fal(&c)
	}
	p, err := fal.New(c)
	if err != nil {
		return nil, err
	}
	n.onClose("fal.ai", func(context.Context) error { p.Close(); return nil })
	return p, nil
}
