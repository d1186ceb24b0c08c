package main

import (
	"context"

	"github.com/infinite-kanvas/kanvas/commands"
)

// receiver takes the bytes of uploads, where the store is this server's own.
func (n *node) receiver() commands.Receiver {
	r, _ := n.intake.(commands.Receiver)
	return r
}

// startUploads sweeps uploads until the node closes.
func (n *node) startUploads() {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.uploads.Run(ctx) }()
	n.onClose("uploads", func(closing context.Context) error {
		stop()
		select {
		case err := <-ended:
			return err
		case <-closing.Done():
			return closing.Err()
		}
	})
}
