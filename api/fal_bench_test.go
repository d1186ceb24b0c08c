package api

import (
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/infra/fal"
	"github.com/infinite-kanvas/kanvas/infra/fal/faltest"
)

// BenchmarkFal: a whole call of a model that answers at once, counted on disk, and one with the caller's own key, which is not counted.
func BenchmarkFal(b *testing.B) {
	s := faltest.Start(b)
	w := newWorld(b, func(c *Config) {
		p, err := fal.New(fal.Config{Key: faltest.Key, Models: fal.Models{"*"}, Dial: s.Dial, TLS: s.TLS})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(p.Close)
		c.Fal, c.FalBudget, c.FalLimits = p, 1e9, []commands.Window{{Max: 1e9, Per: time.Hour}}
	})
	for name, headers := range map[string][]string{"counted": nil, "own key": {"Authorization", "Key " + faltest.OwnKey}} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				w.fal("POST", falRun, "", falPrompt, headers...).ok(200)
			}
		})
	}
}
