package commands_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/fal"
	"github.com/infinite-kanvas/kanvas/infra/fal/faltest"
	"github.com/infinite-kanvas/kanvas/infra/jetstream"
	"github.com/infinite-kanvas/kanvas/infra/objects"
	"github.com/infinite-kanvas/kanvas/infra/pictures"
)

// makers is what generations are made with in these tests: the real log, stores, accounts and queue, and a stand-in for fal.ai's servers. Processes are
// started on it that die at a step.
type makers struct {
	t       *testing.T
	log     *jetstream.Store
	rooms   *commands.Dispatcher
	sealer  *commands.Sealer
	shelf   commands.Objects
	intake  commands.Intake
	ledger  commands.Ledger
	budgets *commands.Budgets
	fal     *faltest.Server
	queue   commands.Jobs
	models  fal.Catalog
	quota   int64 // bytes of a person
	began   time.Time
	ahead   atomic.Int64 // of the clock, ms
	last    *maker       // who answers the sweep
}

const picturesOnly = "fal-ai/flux-kontext-lora"

func newMakers(t *testing.T) *makers {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	m := &makers{t: t, quota: 1 << 30, log: openLog(t), began: time.Now(), fal: faltest.Start(t), models: fal.Catalog{Allowed: fal.Models{picturesOnly}}}
	m.fal.SignUploads()
	proxy, err := fal.New(fal.Config{Key: faltest.Key, Models: m.models.Allowed, Dial: m.fal.Dial, TLS: m.fal.TLS})
	must(err)
	t.Cleanup(proxy.Close)
	m.queue = fal.NewQueue(proxy)
	dir, err := objects.OpenDir(t.TempDir(), nil)
	must(err)
	m.shelf = dir
	m.intake, err = objects.NewIntake(dir)
	must(err)
	m.ledger, err = m.log.OpenLedger(testContext(t))
	must(err)
	purse, err := m.log.OpenBudgets(testContext(t))
	must(err)
	m.sealer = commands.NewSealer(openKeys(t, m.log))
	m.rooms = newNode(t, m.log, func(c *commands.Config) { c.Clock = m.clock })
	m.budgets = commands.NewBudgets(commands.BudgetConfig{
		Ledger: purse, Limits: commands.BudgetLimits{User: commands.NoBudget, Room: commands.NoBudget, Server: commands.NoBudget}, Prices: commands.DefaultPrices(),
		Streams: commands.NewStreams(m.log, m.clock), Clock: m.clock,
		Outcome: func(ctx context.Context, room, id string) (commands.Outcome, error) {
			return m.last.gens.Outcome(ctx, room, id)
		},
	})
	return m
}

// clock runs in the middle of a month.
func (m *makers) clock() int64 {
	return time.Date(2026, 5, 10, 0, 0, 0, 0, time.UTC).UnixMilli() + time.Since(m.began).Milliseconds() + m.ahead.Load()
}

// maker is one process.
type maker struct {
	gens    *commands.Generations
	uploads *commands.Uploads
	quota   *commands.Quota
	fuse    *fuse
}

// start begins a process that dies by the fuse; room is all that it looks after.
func (m *makers) start(f *fuse, room string, change ...func(*commands.GenerationConfig)) *maker {
	m.t.Helper()
	log := dyingLog{m.log, f}
	streams := commands.NewStreams(log, m.clock)
	shelf := dyingObjects{m.shelf, f}
	quota := commands.NewQuota(dyingLedger{m.ledger, f}, func(context.Context, string) (int64, error) { return 0, nil }, m.quota, m.clock)
	assets := commands.NewAssets(streams, shelf)
	assets.Count(quota)
	p := &maker{fuse: f, quota: quota, uploads: commands.NewUploads(commands.UploadConfig{Streams: streams, Objects: shelf, Intake: m.intake, Quota: quota})}
	rooms := dyingRooms{m.rooms, f}
	cfg := commands.GenerationConfig{
		Rooms: rooms, Table: roomTable{m.rooms, room}, Prepare: commands.NewPreparer(commands.PrepareConfig{Rooms: m.rooms, Sealer: m.sealer, Assets: assets}),
		Sealer: m.sealer, Uploads: p.uploads, Objects: shelf, Jobs: dyingJobs{m.queue, f}, Models: m.models, Masks: pictures.NewMask(),
		Spending: dyingSpending{m.budgets, f}, Clock: m.clock,
		PollFirst: time.Millisecond, PollLast: 5 * time.Millisecond, Retry: time.Millisecond, Look: 2 * time.Millisecond,
	}
	for _, c := range change {
		c(&cfg)
	}
	p.gens = commands.NewGenerations(cfg)
	m.last = p
	return p
}

// roomTable is a GenerationTable made of one room's events.
type roomTable struct {
	rooms commands.Rooms
	room  string
}

func (t roomTable) Generation(ctx context.Context, room, id string) (r commands.GenerationRecord, ok bool, err error) {
	err = t.rooms.Commits(ctx, room, 0, func(c *events.Commit) bool {
		for i := range c.Events {
			switch d := c.Events[i].Payload.(type) {
			case *events.GenerationRequestedData:
				if d.ID == id {
					r, ok = commands.GenerationRecord{Revision: c.First + uint64(i), Status: domain.GenerationQueued, Estimate: d.Estimate}, true
				}
			case *events.GenerationSucceededData:
				if d.ID == id {
					r.Status, r.Cost = domain.GenerationSucceeded, d.Cost
				}
			case *events.GenerationFailedData:
				if d.ID == id {
					r.Status, r.Cost, r.Code = domain.GenerationFailed, d.Cost, d.Code
				}
			case *events.GenerationCanceledData:
				if d.ID == id {
					r.Status, r.Open = domain.GenerationCanceled, d.Open
				}
			case *events.GenerationUnknownData:
				if d.ID == id {
					r.Status, r.Cost = domain.GenerationUnknown, d.Cost
				}
			case *events.GenerationSettledData:
				if d.ID == id {
					r.Status, r.Cost, r.Open = domain.GenerationCanceled, d.Cost, false
				}
			}
		}
		return true
	})
	return r, ok, err
}

func (t roomTable) Unfinished(ctx context.Context, yield func(room, id string) bool) error {
	v, err := t.rooms.View(ctx, t.room)
	if err != nil {
		return err
	}
	for _, g := range v.Generations {
		if g.Status != domain.GenerationUnknown && !yield(t.room, g.ID) {
			break
		}
	}
	return nil
}

// fuse has a process die at its nth step, before or after what the step does. From then on nothing that it does has any effect.
type fuse struct {
	mu    sync.Mutex
	at    int // 0: never
	after bool
	steps int
	name  string // of the step at which it died
	dead  chan struct{}
}

func newFuse(at int, after bool) *fuse { return &fuse{at: at, after: after, dead: make(chan struct{})} }

var errDead = errors.New("the process is dead")

// next says whether a step has its effect, and whether anybody hears of it.
func (f *fuse) next(name string) (does, heard bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.name != "" {
		return false, false
	}
	f.steps++
	if f.steps != f.at {
		return true, true
	}
	f.name = name
	close(f.dead)
	return f.after, false
}

func step[T any](f *fuse, name string, do func() (T, error)) (T, error) {
	does, heard := f.next(name)
	var v T
	var err error
	if does {
		v, err = do()
	}
	if !heard {
		var none T
		return none, errDead
	}
	return v, err
}

func stepOnly(f *fuse, name string, do func() error) error {
	_, err := step(f, name, func() (struct{}, error) { return struct{}{}, do() })
	return err
}

type dyingLog struct {
	commands.Log
	f *fuse
}

func (l dyingLog) Append(ctx context.Context, s events.Stream, after uint64, payload []byte) (uint64, error) {
	return step(l.f, "append to "+string(s.Kind), func() (uint64, error) { return l.Log.Append(ctx, s, after, payload) })
}

type dyingObjects struct {
	commands.Objects
	f *fuse
}

func (o dyingObjects) Put(ctx context.Context, key, kind string, body io.Reader, size int64) error {
	return stepOnly(o.f, "put", func() error { return o.Objects.Put(ctx, key, kind, body, size) })
}

func (o dyingObjects) Delete(ctx context.Context, keys ...string) error {
	return stepOnly(o.f, "delete", func() error { return o.Objects.Delete(ctx, keys...) })
}

type dyingLedger struct {
	commands.Ledger
	f *fuse
}

func (l dyingLedger) Put(ctx context.Context, person string, doc []byte, version uint64) error {
	return stepOnly(l.f, "quota", func() error { return l.Ledger.Put(ctx, person, doc, version) })
}

type dyingRooms struct {
	commands.Rooms
	f *fuse
}

func (r dyingRooms) Do(ctx context.Context, room string, q commands.Request) (commands.Result, error) {
	name := q.Commands[0].CommandName()
	if a, ok := q.Commands[0].(domain.AdvanceGeneration); ok {
		switch a.To.(type) {
		case *events.GenerationSubmittingData:
			name = "submitting"
		case *events.GenerationSubmittedData:
			name = "submitted"
		}
	}
	return step(r.f, name, func() (commands.Result, error) { return r.Rooms.Do(ctx, room, q) })
}

type dyingSpending struct {
	commands.Spending
	f *fuse
}

func (s dyingSpending) Reserve(ctx context.Context, is commands.Spend) error {
	return stepOnly(s.f, "reserve", func() error { return s.Spending.Reserve(ctx, is) })
}

func (s dyingSpending) Settle(ctx context.Context, is commands.Spend, cost int64) error {
	return stepOnly(s.f, "settle", func() error { return s.Spending.Settle(ctx, is, cost) })
}

type dyingJobs struct {
	commands.Jobs
	f *fuse
}

func (j dyingJobs) Submit(ctx context.Context, job commands.Job) (commands.JobRef, error) {
	return step(j.f, "submit", func() (commands.JobRef, error) { return j.Jobs.Submit(ctx, job) })
}

func (j dyingJobs) Status(ctx context.Context, ref commands.JobRef) (commands.JobStatus, error) {
	return step(j.f, "status", func() (commands.JobStatus, error) { return j.Jobs.Status(ctx, ref) })
}

func (j dyingJobs) Result(ctx context.Context, ref commands.JobRef) (commands.JobResult, error) {
	return step(j.f, "result", func() (commands.JobResult, error) { return j.Jobs.Result(ctx, ref) })
}

func (j dyingJobs) Cancel(ctx context.Context, ref commands.JobRef) error {
	return stepOnly(j.f, "cancel", func() error { return j.Jobs.Cancel(ctx, ref) })
}

func (j dyingJobs) Upload(ctx context.Context, name, kind string, size int64, body io.Reader) (string, error) {
	return step(j.f, "upload", func() (string, error) { return j.Jobs.Upload(ctx, name, kind, size, body) })
}

func (j dyingJobs) Fetch(ctx context.Context, url string) (io.ReadCloser, string, int64, error) {
	does, heard := j.f.next("fetch")
	if !does || !heard {
		return nil, "", 0, errDead
	}
	return j.Jobs.Fetch(ctx, url)
}

// plan is how jobs go from now on.
func (m *makers) plan(p faltest.Plan) {
	m.fal.Plan(func(string, json.RawMessage) faltest.Plan { return p })
}

// jobsOf are the jobs at the stand-in with a prompt.
func (m *makers) jobsOf(prompt string) (list []faltest.Job) {
	for _, j := range m.fal.Jobs() {
		var in struct {
			Prompt string `json:"prompt"`
		}
		if json.Unmarshal([]byte(j.Input), &in) == nil && in.Prompt == prompt {
			list = append(list, j)
		}
	}
	return list
}
