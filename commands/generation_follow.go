package commands

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// follow is one generation on its way. Only its own goroutine uses it, but for wake and again.
type follow struct {
	g        *Generations
	key      generationKey
	wake     chan struct{}
	again    bool   // something happened since it was looked at; guarded by g.mu
	revision uint64 // of the room, up to which the news goes; guarded by g.mu

	is       *domain.Generation // as it was looked at last; nil: look
	poll     time.Duration
	failures int
	answered bool   // what Submit said is known here: nobody else can hear more, but a webhook
	notSent  bool   // and it says that nothing was sent
	canceled bool   // the queue was asked to
	ref      JobRef // of the job, once it is known
	doneAt   int64  // Unix ms since when the job is known to be done; 0: it isn't
	// overdueAt is since when it is asked about past its time; Unix ms.
	overdueAt int64
	shown     GenerationProgress
}

// run takes the generation one step after the other, until it is over or ctx ends.
func (f *follow) run(ctx context.Context) {
	for {
		wait, done := f.step(ctx)
		if ctx.Err() != nil || done && f.g.ended(f) {
			f.g.forget(f)
			return
		}
		if done {
			continue
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-t.C:
		case <-f.wake:
			f.is, f.poll = nil, 0
		}
		t.Stop()
	}
}

func (g *Generations) forget(f *follow) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.follows[f.key] == f {
		delete(g.follows, f.key)
	}
}

// step does what is next, and says how long to wait for the step after it.
func (f *follow) step(ctx context.Context) (wait time.Duration, done bool) {
	if f.is == nil {
		var err error
		if f.is, err = f.look(ctx); err != nil {
			return f.failed(err), false
		}
		if f.is == nil {
			if err := f.showLate(ctx); err != nil {
				return f.failed(err), false
			}
			return 0, true
		}
	}
	wait, err := f.next(ctx)
	if err != nil {
		return f.failed(err), false
	}
	f.failures = 0
	return wait, false
}

// failed says how long to wait after what may pass.
func (f *follow) failed(err error) time.Duration {
	f.is = nil
	wait := min(f.g.cfg.Retry<<min(f.failures, 10), maxRetry)
	if f.failures++; f.failures == 3 || f.failures%50 == 0 {
		f.g.cfg.Logger.Warn("generation_waits", slog.String("roomId", f.key.room), slog.String("generation", f.key.id), slog.Int("failures", f.failures), slog.String("error", err.Error()))
	}
	return wait
}

// look reads where the generation stands; nil where it is over, or its room.
func (f *follow) look(ctx context.Context) (*domain.Generation, error) {
	f.g.mu.Lock()
	f.again = false
	revision := f.revision
	f.g.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, generationCommand)
	defer cancel()
	v, err := f.g.cfg.Rooms.View(ctx, f.key.room)
	if isCode(err, domain.CodeNotFound) {
		f.cancel(ctx) // nobody is there to see it
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if v.Revision < revision { // what another node committed is still on its way here
		return nil, fmt.Errorf("the room is at revision %d, and news of revision %d", v.Revision, revision)
	}
	is := domain.FindGeneration(v.Generations, f.key.id)
	if is != nil && is.Status == domain.GenerationUnknown {
		return nil, nil // a webhook may still begin it anew
	}
	if is != nil {
		f.ref = refOf(is)
	}
	return is, nil
}

func (f *follow) next(ctx context.Context) (time.Duration, error) {
	switch f.is.Status {
	case domain.GenerationQueued:
		return 0, f.submit(ctx)
	case domain.GenerationSubmitting:
		if f.notSent {
			return 0, f.submit(ctx)
		}
		return f.await(ctx)
	case domain.GenerationCanceled:
		if f.is.RequestID == "" && f.notSent {
			return 0, f.fail(ctx, &JobFailure{Code: FailedUpstream, Detail: "nothing was sent"}, 0)
		}
		if f.is.RequestID == "" {
			return f.await(ctx)
		}
		f.cancel(ctx)
		return f.ask(ctx)
	default:
		return f.ask(ctx)
	}
}

// say shows how it stands, where that is news.
func (f *follow) say(status domain.GenerationStatus, position int) {
	p := GenerationProgress{f.key.room, f.key.id, status, position}
	if p != f.shown {
		f.shown = p
		f.g.cfg.Live(p)
	}
}

// submit sends the job. That it is about to be sent is committed first, by one follower alone: so it is never sent twice without anybody knowing.
func (f *follow) submit(ctx context.Context) error {
	a, _, err := f.g.asked(ctx, f.key.room, f.is.Revision)
	if errors.Is(err, errForgotten) {
		return f.fail(ctx, &JobFailure{Code: FailedForgotten, Detail: "who asked for it was forgotten"}, 0)
	}
	if err != nil {
		return err
	}
	input, err := f.g.jobInput(ctx, &a)
	var failure *JobFailure
	switch {
	case errors.Is(err, ErrNoObject):
		return f.fail(ctx, &JobFailure{Code: FailedInput, Detail: "a picture of the input is gone"}, 0)
	case errors.As(err, &failure):
		return f.fail(ctx, failure, 0)
	case err != nil && f.g.cfg.Clock() > f.is.RequestedAt+f.g.cfg.JobTimeout.Milliseconds():
		return f.fail(ctx, &JobFailure{Code: FailedUpstream, Detail: "the pictures of the input could not be handed over", Retryable: true}, 0)
	case err != nil:
		return err
	}
	attempt := f.is.Attempt + 1
	mine, err := f.announce(ctx, attempt)
	if err != nil || !mine {
		f.is = nil
		return err
	}
	f.answered, f.notSent = false, false
	// Whatever stops this process meanwhile waits for the answer: it is worth money.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), submitTimeout)
	defer cancel()
	ref, err := f.g.cfg.Jobs.Submit(ctx, Job{Model: f.is.Model, Input: input, Webhook: f.g.cfg.Webhook(f.key.room, f.key.id)})
	f.answered = true
	switch {
	case err == nil:
		f.is = nil
		return f.submitted(ref)
	case errors.As(err, &failure):
		return f.fail(ctx, failure, f.billed(failure))
	case errors.Is(err, ErrNotSent):
		if f.notSent = true; attempt >= f.g.cfg.Attempts {
			return f.fail(ctx, &JobFailure{Code: FailedUpstream, Detail: "the queue can't be reached", Retryable: true}, 0)
		}
		// So that a process that takes over tries again too; where this can't be said, this one still knows.
		_, uerr := f.g.command(ctx, f.key.room, domain.AdvanceGeneration{To: &events.GenerationUnsentData{ID: f.key.id, Attempt: attempt}}, "")
		err = errors.Join(err, uerr)
	}
	return err
}

// announce commits that attempt is about to be sent; mine is false where somebody else did so. It knows its own commit again by the key.
func (f *follow) announce(ctx context.Context, attempt int) (mine bool, err error) {
	key := "submitting:" + f.g.ids.next()
	for try := 1; ; try++ {
		res, err := f.g.command(ctx, f.key.room, domain.AdvanceGeneration{To: &events.GenerationSubmittingData{ID: f.key.id, Attempt: attempt}}, key)
		if err == nil {
			return res.First <= res.Last, nil
		}
		if isCode(err, domain.CodeNotFound) || ctx.Err() != nil || try == 10 {
			return false, err
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(min(f.g.cfg.Retry<<min(try, 5), maxRetry)):
		}
	}
}

// submitted commits where the job is, and does not give up easily: nobody else knows.
func (f *follow) submitted(ref JobRef) error {
	for try := 1; ; try++ {
		_, err := f.g.command(context.Background(), f.key.room, domain.AdvanceGeneration{To: submittedAs(f.key.id, ref)}, "")
		if err == nil || isCode(err, domain.CodeNotFound) {
			return nil
		}
		if try == 20 || f.g.base.Err() != nil && try == 3 {
			f.g.cfg.Logger.Error("generation_lost_its_job", slog.String("roomId", f.key.room), slog.String("generation", f.key.id), slog.String("job", ref.RequestID), slog.String("error", err.Error()))
			return err
		}
		time.Sleep(min(f.g.cfg.Retry<<min(try, 10), maxRetry))
	}
}

// await waits for word of a job of which nobody knows whether it was taken; after a time it is unknown for good.
func (f *follow) await(ctx context.Context) (time.Duration, error) {
	until := f.is.SubmittingAt
	if f.g.cfg.Webhook(f.key.room, f.key.id) != "" {
		until += f.g.cfg.Unanswered.Milliseconds()
	} else if !f.answered {
		until += f.g.cfg.Grace.Milliseconds()
	}
	if left := time.Duration(until-f.g.cfg.Clock()) * time.Millisecond; left > 0 {
		f.say(f.is.Status, 0)
		return left, nil
	}
	cost := f.is.Estimate
	_, err := f.g.command(ctx, f.key.room, domain.AdvanceGeneration{To: &events.GenerationUnknownData{ID: f.key.id, Cost: cost}}, "")
	if err != nil {
		return 0, err
	}
	f.settle(ctx, cost)
	f.ended(domain.GenerationUnknown)
	return 0, nil
}

// cancel asks the queue to, once.
func (f *follow) cancel(ctx context.Context) {
	if f.canceled || f.ref.RequestID == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if err := f.g.cfg.Jobs.Cancel(ctx, f.ref); err != nil {
		f.g.cfg.Logger.Info("generation_not_canceled", slog.String("roomId", f.key.room), slog.String("generation", f.key.id), slog.String("error", err.Error()))
		return
	}
	f.canceled = true
}

func refOf(is *domain.Generation) JobRef {
	return JobRef{RequestID: is.RequestID, StatusURL: is.StatusURL, ResponseURL: is.ResponseURL, CancelURL: is.CancelURL}
}

// ask asks how the job stands, and takes the result where it is done.
func (f *follow) ask(ctx context.Context) (time.Duration, error) {
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	status, err := f.g.cfg.Jobs.Status(asking, f.ref)
	var failure *JobFailure
	switch {
	case errors.As(err, &failure):
		return 0, f.fail(ctx, failure, f.billed(failure))
	case err == nil && status.State == JobDone:
		return 0, f.done(ctx)
	case f.overdue(err == nil):
		f.cancel(ctx)
		return 0, f.fail(ctx, &JobFailure{Code: FailedTimeout, Detail: "it was not over in time", Retryable: true}, f.is.Estimate)
	case err != nil:
		return 0, err
	case f.is.Status == domain.GenerationCanceled:
	case status.State == JobRunning && f.is.Status == domain.GenerationSubmitted:
		f.say(domain.GenerationRunning, 0)
		if _, err := f.g.command(ctx, f.key.room, domain.AdvanceGeneration{To: &events.GenerationStartedData{ID: f.key.id}}, ""); err != nil {
			return 0, err
		}
		f.is = nil
	case status.State == JobRunning:
		f.say(domain.GenerationRunning, 0)
	default:
		f.say(domain.GenerationQueued, status.Position)
	}
	if f.poll == 0 {
		f.poll = f.g.cfg.PollFirst
	} else {
		f.poll = min(f.poll*5/4, max(f.g.cfg.PollLast, f.g.cfg.PollFirst))
	}
	return f.poll, nil
}

// overdue reports whether a job that is not known to be done has had its time. Where the queue did not answer it is asked for some time more: what was done
// while this process was away is paid for.
func (f *follow) overdue(answered bool) bool {
	now := f.g.cfg.Clock()
	if now <= f.is.SubmittedAt+f.g.cfg.JobTimeout.Milliseconds() {
		return false
	}
	if f.overdueAt == 0 {
		f.overdueAt = now
	}
	return answered || now > f.overdueAt+f.g.cfg.ResultTimeout.Milliseconds()
}

// errRemote is around what the queue's side did not do.
type errRemote struct{ error }

func (e errRemote) Unwrap() error { return e.error }

// done takes the result of a job that is done. The queue's side has some time to give it.
func (f *follow) done(ctx context.Context) error {
	now := f.g.cfg.Clock()
	if f.doneAt == 0 {
		f.doneAt = now
	}
	err := f.collect(ctx)
	var remote errRemote
	if errors.As(err, &remote) && now > f.doneAt+f.g.cfg.ResultTimeout.Milliseconds() {
		return f.fail(ctx, &JobFailure{Code: FailedUpstream, Detail: "the result could not be had", Retryable: true}, f.is.Estimate)
	}
	return err
}

// billed is what a failure may have cost.
func (f *follow) billed(failure *JobFailure) int64 {
	if failure.Billed {
		return f.is.Estimate
	}
	return 0
}

// fail commits that there will be no result, and why.
func (f *follow) fail(ctx context.Context, failure *JobFailure, cost int64) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), generationCommand)
	defer cancel()
	d := &events.GenerationFailedData{ID: f.key.id, Code: failure.Code, Detail: failure.Detail, Retryable: failure.Retryable, Cost: cost}
	if failure.Said != "" {
		said, err := f.g.cfg.Sealer.Seal(ctx, f.is.User, failure.Said)
		if err != nil && !isCode(err, domain.CodeForbidden) {
			return err
		}
		d.Said = said
	}
	if _, err := f.g.command(ctx, f.key.room, domain.AdvanceGeneration{To: d}, ""); err != nil {
		return err
	}
	f.settle(ctx, cost)
	f.ended(domain.GenerationFailed)
	return nil
}

// ended says that nothing more comes; what the room says of it is looked at again.
func (f *follow) ended(status domain.GenerationStatus) {
	if f.is.Status == domain.GenerationCanceled {
		status = domain.GenerationCanceled
	}
	f.g.over.WithLabelValues(string(status)).Inc()
	f.say(status, 0)
	f.is = nil
}

// settle says what was spent. What a failure leaves open, the account settles by Outcome.
func (f *follow) settle(ctx context.Context, cost int64) {
	f.g.settle(ctx, spendOf(f.key.room, f.is), cost)
}

func spendOf(room string, is *domain.Generation) Spend {
	return Spend{ID: is.ID, Person: is.User, Room: room, Model: is.Model, Amount: is.Estimate}
}

func (g *Generations) settle(ctx context.Context, s Spend, cost int64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), generationCommand)
	defer cancel()
	if err := g.cfg.Spending.Settle(ctx, s, cost); err != nil {
		g.cfg.Logger.Warn("generation_not_settled", slog.String("roomId", s.Room), slog.String("generation", s.ID), slog.String("error", err.Error()))
	}
}
