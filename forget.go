package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/infra/doctor"
	"github.com/infinite-kanvas/kanvas/infra/forgotten"
)

// d1Forgets bounds how long `kanvas forget` waits for D1, which follows in any case.
const d1Forgets = 30 * time.Second

// openForgetting opens the list of forgotten people. Where the log holds keys of theirs again, it was restored from an older backup: they are forgotten
// before anything is served.
func (n *node) openForgetting(ctx context.Context) (err error) {
	if n.list, err = forgotten.Open(n.cfg.Forgotten); err != nil {
		return err
	}
	n.onClose("list of forgotten people", func(context.Context) error { return n.list.Close() })
	n.forget = commands.NewForgetting(commands.ForgetConfig{People: n.people, Sealer: n.sealer, Keys: n.keys, List: n.list, Scrub: n.scrub, Logger: n.logger})
	n.keys.OnDestroyed(n.people.Gone) // before everything else that hears of it
	if len(n.list.All()) == 0 {
		return nil
	}
	destroyed, err := n.destroyed(ctx)
	if err != nil {
		return err
	}
	return n.forget.Restored(ctx, destroyed)
}

// destroyed are the people whose keys were destroyed.
func (n *node) destroyed(ctx context.Context) (map[string]bool, error) {
	people := map[string]bool{}
	err := n.keys.Destroyed(ctx, func(person string) bool { people[person] = true; return true })
	return people, err
}

// startForgetting hears of people whom other nodes forget, and goes on with what is left to do.
func (n *node) startForgetting() error {
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	n.keys.OnDestroyed(n.forget.Elsewhere)
	stop, err := n.keys.FollowDestroyed(ctx)
	if err != nil {
		return err
	}
	n.onClose("keys", func(context.Context) error { return stop() })
	destroyed, err := n.destroyed(ctx) // while this node was away
	if err != nil {
		return err
	}
	for person := range destroyed {
		n.forget.Elsewhere(person)
	}
	n.forget.Start()
	n.onClose("forgetting", func(context.Context) error { n.forget.Close(); return nil })
	return nil
}

// scrub returns once the tables here hold nothing of people whose keys are gone.
func (n *node) scrub(ctx context.Context) error {
	if err := n.runner.WaitHead(ctx); err != nil {
		return err
	}
	return n.runner.Quiet(func() error { return n.tables.Scrub(ctx) })
}

// opForget forgets a person.
func (n *node) opForget(ctx context.Context, args []string, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("forget: one user id is needed (see kanvas forget --help)")
	}
	if !n.follows {
		n.startProjections()
	}
	var failed error
	err := n.forget.Forget(ctx, args[0], func(step string) {
		if _, err := fmt.Fprintln(out, step); err != nil {
			failed = err
		}
	})
	if err != nil {
		return fmt.Errorf("forget: %w", err)
	}
	if n.d1Runner != nil {
		wait, cancel := context.WithTimeout(ctx, d1Forgets)
		defer cancel()
		said := "D1 has forgotten too (its Time Travel keeps what was for up to 30 days)"
		if err := n.d1Runner.WaitHead(wait); err != nil {
			said = "D1 will follow when it can be reached: " + err.Error()
		}
		_, err := fmt.Fprintln(out, said)
		failed = errors.Join(failed, err)
	}
	_, err = fmt.Fprintln(out, "forgotten")
	return errors.Join(failed, err)
}

// checkForgotten tells of what was begun and not finished: people to be forgotten, and a rotation of the master key.
func (n *node) checkForgotten(context.Context) []doctor.Finding {
	findings := []doctor.Finding{doctor.OK("%d people are on the list", len(n.list.All()))}
	if left := len(n.list.Pending()); left > 0 {
		findings[0] = doctor.Warn("a running server goes on with it; its log says what hinders it (forgetting_failed)", "something may be left of %d people who are to be forgotten", left)
	}
	if n.masterFiles().Rotating() {
		findings = append(findings, doctor.Warn("kanvas keys rotate", "the rotation of the master key was begun and not finished"))
	}
	return findings
}
