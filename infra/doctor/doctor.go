// Package doctor looks whether what is configured works: the troubleshooting section of the integration guide as checks. A check changes
// nothing but what it makes itself under names of its own, tells no secret, and ends by its deadline.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Level says how bad a finding is.
type Level string

// Levels.
const (
	LevelOK   Level = "ok"
	LevelWarn Level = "warn" // works, but somebody should know
	LevelFail Level = "fail" // does not work
)

// Finding is one line of the report.
type Finding struct {
	Level   Level  `json:"level"`
	Check   string `json:"check"`
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"` // what to do, where the level isn't ok
}

// Check looks at one thing. Run returns a finding for each part of it, and may be called concurrently with other checks.
type Check struct {
	Name    string
	Timeout time.Duration // of its ctx; 0: 20 s
	Run     func(ctx context.Context) []Finding
}

const defaultTimeout = 20 * time.Second

// Run runs all checks at once and gives their findings in the order of the checks, when all have ended.
func Run(ctx context.Context, checks []Check) []Finding {
	lists := make([][]Finding, len(checks))
	var wg sync.WaitGroup
	for i, c := range checks {
		wg.Go(func() { lists[i] = c.run(ctx) })
	}
	wg.Wait()
	var all []Finding
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

func (c *Check) run(ctx context.Context) []Finding {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	found := c.Run(ctx)
	for i := range found {
		if found[i].Check == "" {
			found[i].Check = c.Name
		}
	}
	return found
}

// OK is a finding that all is well.
func OK(format string, a ...any) Finding {
	return Finding{Level: LevelOK, Message: fmt.Sprintf(format, a...)}
}

// Warn is a finding that somebody should know of; fix says what to do.
func Warn(fix, format string, a ...any) Finding {
	return Finding{Level: LevelWarn, Message: fmt.Sprintf(format, a...), Fix: fix}
}

// Fail is a finding that something does not work; fix says what to do.
func Fail(fix, format string, a ...any) Finding {
	return Finding{Level: LevelFail, Message: fmt.Sprintf(format, a...), Fix: fix}
}

func one(f Finding) []Finding { return []Finding{f} }

// Named gives a finding another name than its check's.
func (f Finding) Named(name string) Finding {
	f.Check = name
	return f
}

// late says in a person's words that a deadline passed.
func late(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	return err.Error()
}
