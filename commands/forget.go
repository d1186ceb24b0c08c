package commands

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// Bounds of forgetting.
const (
	forgetRetry = 30 * time.Second // until what failed is tried again
	forgetRest  = 10               // scrubbing takes at most one part in so many of the time
	scrubLimit  = 30 * time.Minute
)

// Forgetters of a Forgetting's config: what it needs from outside.
type (
	// KeyDestroyer ends keys for ever. It may be called again.
	KeyDestroyer interface {
		Destroy(ctx context.Context, person string) error
	}
	// ForgottenList is kept apart from the log, so that a log restored from before forgets the same people again. Methods may be called concurrently;
	// what Add and Done say is durable when they return.
	ForgottenList interface {
		Add(person string) error
		Done(person string) error
		All() []string
		Has(person string) bool
		Pending() []string
	}
)

// ForgetConfig is what NewForgetting needs.
type ForgetConfig struct {
	People *People
	Sealer *Sealer
	Keys   KeyDestroyer
	List   ForgottenList
	// Scrub returns once the lists hold, and their files keep, nothing of people whose keys were destroyed and whose streams ended before the call.
	Scrub  func(ctx context.Context) error
	Logger *slog.Logger // nil: none
}

// Forgetting makes the server forget people. In this order, each step repeatable, so that a crash anywhere is made good by starting over:
//
//  1. the list says who is to be forgotten, with the guests that they claimed;
//  2. their streams end (user.deleted);
//  3. their keys are destroyed: from here on nobody can read what they wrote;
//  4. the tables, which show names, are scrubbed;
//  5. the list says that all is done.
//
// Methods may be called concurrently.
type Forgetting struct {
	cfg  ForgetConfig
	busy sync.Mutex // held for steps 2 to 5
	wake chan struct{}
	stop context.CancelFunc
	done sync.WaitGroup
}

// NewForgetting returns the work; Start has it go on with what is left.
func NewForgetting(cfg ForgetConfig) *Forgetting {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Forgetting{cfg: cfg, wake: make(chan struct{}, 1)}
}

// Forget forgets a person and returns when all of it is done here; say hears of each step. CodeNotFound for who was never here.
func (f *Forgetting) Forget(ctx context.Context, person string, say func(step string)) error {
	if err := f.known(ctx, person); err != nil {
		return err
	}
	people, err := f.note(ctx, person)
	if err != nil {
		return err
	}
	say(fmt.Sprintf("noted on the list of forgotten people: %d", len(people)))
	f.busy.Lock()
	defer f.busy.Unlock()
	if err := f.erase(ctx, people, say); err != nil {
		return err
	}
	return f.finish(ctx, people, say)
}

// known refuses ids that were mistyped: what is on the list stays there.
func (f *Forgetting) known(ctx context.Context, person string) error {
	if person == "" || person == domain.SystemID {
		return domain.Errorf(domain.CodeBadRequest, "%q can't be forgotten", person)
	}
	if f.cfg.List.Has(person) {
		return nil
	}
	known, err := f.cfg.People.Known(ctx, person)
	if err == nil && !known {
		known, err = f.cfg.Sealer.HasKey(ctx, person)
	}
	if err != nil {
		return err
	}
	if !known {
		return domain.Errorf(domain.CodeNotFound, "nobody called %q was ever here", person)
	}
	return nil
}

// note puts the person and the guests they claimed on the list.
func (f *Forgetting) note(ctx context.Context, person string) ([]string, error) {
	people := []string{person}
	if hasStream(person) {
		guests, err := f.cfg.People.Guests(ctx, person)
		if err != nil {
			return nil, err
		}
		people = append(people, guests...)
	}
	for _, p := range people {
		if err := f.cfg.List.Add(p); err != nil {
			return nil, err
		}
	}
	return people, nil
}

// hasStream reports whether there can be a stream of the person: visitors without a token have only a key.
func hasStream(person string) bool {
	return events.ValidStreamID(person) && !(domain.Actor{ID: person}).Anonymous()
}

// erase ends streams and destroys keys.
func (f *Forgetting) erase(ctx context.Context, people []string, say func(string)) error {
	for _, p := range people {
		if !hasStream(p) {
			continue
		}
		if err := f.cfg.People.end(ctx, p); err != nil {
			return fmt.Errorf("forget %s: %w", p, err)
		}
		say("ended the stream of " + p)
	}
	for _, p := range people {
		if err := f.cfg.Keys.Destroy(ctx, p); err != nil {
			return fmt.Errorf("forget %s: %w", p, err)
		}
		say("destroyed the key of " + p)
	}
	return nil
}

// finish scrubs the tables and strikes people off.
func (f *Forgetting) finish(ctx context.Context, people []string, say func(string)) error {
	ctx, cancel := context.WithTimeout(ctx, scrubLimit)
	defer cancel()
	if err := f.cfg.Scrub(ctx); err != nil {
		return fmt.Errorf("scrub the tables: %w", err)
	}
	say("scrubbed the tables")
	for _, p := range people {
		if err := f.cfg.List.Done(p); err != nil {
			return err
		}
	}
	f.cfg.Logger.Info("people_forgotten", slog.Int("people", len(people)))
	return nil
}

// Restored destroys the keys, and ends the streams, of people on the list whose keys are there: the log was restored from a time before they were
// forgotten. destroyed are those whose keys are not. It is for the start, before anybody is served; Start does the rest.
func (f *Forgetting) Restored(ctx context.Context, destroyed map[string]bool) error {
	var back []string
	for _, p := range f.cfg.List.All() {
		if !destroyed[p] {
			back = append(back, p)
		}
	}
	for _, p := range back {
		people, err := f.note(ctx, p) // again to be scrubbed
		if err == nil {
			err = f.erase(ctx, people, func(string) {})
		}
		if err != nil {
			return err
		}
	}
	if len(back) > 0 {
		f.cfg.Logger.Warn("people_forgotten_again", slog.Int("people", len(back)))
	}
	return nil
}

// Elsewhere takes note of a person whose key was destroyed, by this node or another: this node's own tables are scrubbed too. It does not block for long.
func (f *Forgetting) Elsewhere(person string) {
	if f.cfg.List.Has(person) {
		return
	}
	if err := f.cfg.List.Add(person); err != nil {
		f.cfg.Logger.Error("forgotten_not_noted", slog.String("userId", person), slog.String("error", err.Error()))
	}
	f.poke()
}

func (f *Forgetting) poke() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Start goes on with what is on the list, and with what comes there by Handle and Elsewhere, until Close.
func (f *Forgetting) Start() {
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	f.poke()
	f.done.Go(func() { f.run(ctx) })
}

// Close ends what Start began. What was not finished is on the list.
func (f *Forgetting) Close() {
	f.stop()
	f.done.Wait()
}

func (f *Forgetting) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		}
		rest := f.round(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(rest):
		}
	}
}

// round forgets all who are due, scrubs once for all of them, and says how long to rest.
func (f *Forgetting) round(ctx context.Context) (rest time.Duration) {
	f.busy.Lock()
	defer f.busy.Unlock()
	people := f.cfg.List.Pending()
	if len(people) == 0 {
		return 0
	}
	quiet := func(string) {}
	start := time.Now()
	err := f.erase(ctx, people, quiet)
	if err == nil {
		start = time.Now()
		err = f.finish(ctx, people, quiet)
	}
	if err == nil {
		return forgetRest * time.Since(start)
	}
	if ctx.Err() == nil {
		f.cfg.Logger.Error("forgetting_failed", slog.Int("people", len(people)), slog.String("error", err.Error()))
	}
	f.poke()
	return forgetRetry
}

// AboutDeletions reports whether a record may end a person, or claim a guest for one who is gone.
func AboutDeletions(rec events.Record) bool {
	return mentions(rec.Payload, `"user.deleted"`) || mentions(rec.Payload, `"user.claimed"`)
}

// Handle notes who is to be forgotten: people that were deleted, and guests of theirs. It is a Handler.
func (f *Forgetting) Handle(ctx context.Context, rec events.Record) error {
	if rec.Stream.Kind != events.KindUser || !AboutDeletions(rec) {
		return nil
	}
	commit, err := decode(rec)
	if err != nil {
		return fmt.Errorf("%s: sequence %d: %w", rec.Stream, rec.Seq, err)
	}
	person := rec.Stream.ID
	for i := range commit.Events {
		gone := false
		switch d := commit.Events[i].Payload.(type) {
		case *events.UserDeletedData:
			gone = true
		case *events.UserClaimedData:
			if gone, err = f.cfg.People.Deleted(ctx, d.By); err != nil {
				return err
			}
		}
		if !gone || f.cfg.List.Has(person) {
			continue
		}
		if _, err := f.note(ctx, person); err != nil {
			return err
		}
		f.poke()
	}
	return nil
}

// end commits that the person was deleted, once.
func (p *People) end(ctx context.Context, id string) error {
	err := p.streams.change(ctx, events.User(id), func(cs []*events.Commit) ([]events.Event, error) {
		if foldPerson(cs).deleted {
			return nil, nil
		}
		return []events.Event{{Type: events.UserDeleted, Actor: domain.SystemID, Payload: &events.UserDeletedData{}}}, nil
	})
	p.Gone(id)
	return err
}

// Gone drops what is kept in memory of a person who was deleted, and has everything that was encoded with names and texts made anew.
func (p *People) Gone(id string) {
	p.Forget(id)
	p.epoch.Add(1)
}

// Epoch implements Users.
func (p *People) Epoch() uint64 { return p.epoch.Load() }

// Deleted implements Users.
func (p *People) Deleted(ctx context.Context, id string) (bool, error) {
	if prof, ok := p.profiles.get(id); ok {
		return prof.Deleted, nil
	}
	if !hasStream(id) || id == domain.SystemID {
		return false, nil
	}
	prof, err := p.load(ctx, id)
	return prof.Deleted, err
}
