package watermill

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// Handler follows the log. Name is stable for ever (what is parked is kept under it): 1 to 32 of a–z 0–9 _ -.
type Handler struct {
	Name string
	// Lane is stable for ever too (the position is kept under it), of the same form; "": the handler's name. Handlers of one lane share a consumer, and
	// with it a position: each record is read once, and given to them in the order of Run's list. What one of them can't take stops none of the
	// others; what is nobody's fault (Options.Transient) makes all of them wait.
	Lane  string
	Kinds []events.Kind // of streams; empty: all
	// Wants is a quick first look that can't fail: false where Fn would have nothing to do. nil: Fn looks at every record.
	Wants func(rec events.Record) bool
	// Fn handles one record, in well under a second: slow work goes to a queue of its own. A record may come again.
	Fn func(ctx context.Context, rec events.Record) error

	chain message.HandlerFunc // Fn and the middleware around it; the Runner's
}

// Options. The zero value of a field means its default.
type Options struct {
	Retries int           // after the first try: 5
	First   time.Duration // wait before the first retry: 100 ms; doubled each time up to Longest
	Longest time.Duration // 2 s
	Timeout time.Duration // of one try: 10 s
	// Wait before a record is tried again that failed for no fault of its own: 1 s.
	Nap time.Duration
	// Transient reports errors that say nothing about the record: IsTransient.
	Transient  func(error) bool
	Logger     *slog.Logger // slog.Default()
	Registerer prometheus.Registerer
}

func (o *Options) setDefaults() {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	if o.Retries == 0 {
		o.Retries = 5
	}
	def(&o.First, 100*time.Millisecond)
	def(&o.Longest, 2*time.Second)
	def(&o.Timeout, 10*time.Second)
	def(&o.Nap, time.Second)
	if o.Transient == nil {
		o.Transient = IsTransient
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

// IsTransient reports errors that are about the world and not the record.
func IsTransient(err error) bool {
	var refusal *domain.Error
	return errors.Is(err, commands.ErrLogReadOnly) || errors.Is(err, commands.ErrUnknownOutcome) || errors.Is(err, context.Canceled) ||
		errors.As(err, &refusal) && refusal.Code == domain.CodeReadOnly
}

var handlerName = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)

func check(hs []Handler) error {
	seen := map[string]bool{}
	for _, h := range hs {
		switch {
		case h.Lane != "" && !handlerName.MatchString(h.Lane):
			return fmt.Errorf("handlers: %s: %q is no name of a lane", h.Name, h.Lane)
		case !handlerName.MatchString(h.Name):
			return fmt.Errorf("handlers: %q is not a name", h.Name)
		case seen[h.Name]:
			return fmt.Errorf("handlers: two are named %s", h.Name)
		case h.Fn == nil:
			return fmt.Errorf("handlers: %s does nothing", h.Name)
		}
		seen[h.Name] = true
		for _, k := range h.Kinds {
			if k != events.KindRoom && k != events.KindUser && k != events.KindAsset && k != events.KindSpending {
				return fmt.Errorf("handlers: %s: no kind %q", h.Name, k)
			}
		}
	}
	return nil
}
