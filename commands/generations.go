package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// GenerationRecord is what the tables say of a generation.
type GenerationRecord struct {
	Revision     uint64 // of its generation.requested
	Status       domain.GenerationStatus
	Open         bool     // canceled, and something may still come of it
	Estimate     int64    // millionths of a US dollar
	Cost         int64    // likewise; what is known so far
	Assets       []string // as "asset:" and the id
	Code, Detail string   // why it failed
}

// over reports whether nothing more comes.
func (r *GenerationRecord) over() bool {
	switch r.Status {
	case domain.GenerationSucceeded, domain.GenerationFailed:
		return true
	}
	return r.Status == domain.GenerationCanceled && !r.Open
}

// GenerationTable is what is asked of the tables.
type GenerationTable interface {
	// Generation returns one as the log's head has it now; ok is false where the room never had it.
	Generation(ctx context.Context, room, id string) (r GenerationRecord, ok bool, err error)
	// Unfinished yields those that are not over, as far as the tables know.
	Unfinished(ctx context.Context, yield func(room, id string) bool) error
}

// GenerationProgress is how a generation stands, for whoever looks on. It is shown and not kept.
type GenerationProgress struct {
	Room, ID string
	Status   domain.GenerationStatus
	Position int // how many jobs are before it, where Status is queued or submitted
}

// GenerationConfig is what NewGenerations needs. The zero value of a number or duration means its default.
type GenerationConfig struct {
	Rooms    Rooms
	Table    GenerationTable
	Prepare  *Preparation
	Sealer   *Sealer
	Uploads  *Uploads
	Objects  Objects
	Jobs     Jobs
	Models   Models
	Masks    MaskApplier
	Spending Spending
	Webhook  func(room, generation string) string // nil, or "" for nowhere: jobs are only asked for
	Live     func(GenerationProgress)             // nil: nobody; must not block
	Active   func() bool                          // whether this process is the one to look for what a crash left; nil: it is
	Clock    Clock
	Logger   *slog.Logger
	Metrics  prometheus.Registerer

	AtOnce        int           // generations followed; 1,000. More wait for the next look
	Copies        int           // files copied at once; 4
	Attempts      int           // submissions of a job of which nothing was sent; 5
	Look          time.Duration // how often it is looked for what nobody follows; 30 s
	PollFirst     time.Duration // between two questions about a job, at first; 1 s
	PollLast      time.Duration // and in the end; 5 s, with a webhook 20 s
	Unanswered    time.Duration // how long a webhook may tell that a job was taken after all; 10 min
	Grace         time.Duration // the same without a webhook: where other nodes may still be at it; 0
	JobTimeout    time.Duration // of a job, from its submission; 2 h
	ResultTimeout time.Duration // for the result of a job that is done to be given out; 30 min
	Retry         time.Duration // after what may pass, at first; 1 s, up to 30 s
}

const (
	generationCommand = 15 * time.Second // one command to a room
	submitTimeout     = 45 * time.Second
	askTimeout        = 30 * time.Second // one question about a job
	copyTimeout       = 10 * time.Minute // all files of a result
	maxRetry          = 30 * time.Second
	generationSpace   = "https://github.com/infinite-kanvas/kanvas/generations"
)

func (c GenerationConfig) withDefaults() GenerationConfig {
	common := Config{Clock: c.Clock, Logger: c.Logger}.withDefaults()
	c.Clock, c.Logger = common.Clock, common.Logger
	if c.Webhook == nil {
		c.Webhook = func(string, string) string { return "" }
	}
	if c.Live == nil {
		c.Live = func(GenerationProgress) {}
	}
	if c.Active == nil {
		c.Active = func() bool { return true }
	}
	setDefault(&c.AtOnce, 1000)
	setDefault(&c.Copies, 4)
	setDefault(&c.Attempts, 5)
	setDefault(&c.Look, 30*time.Second)
	setDefault(&c.PollFirst, time.Second)
	if c.Webhook("room", "generation") != "" {
		setDefault(&c.PollLast, 20*time.Second)
	}
	setDefault(&c.PollLast, 5*time.Second)
	setDefault(&c.Unanswered, 10*time.Minute)
	setDefault(&c.JobTimeout, 2*time.Hour)
	setDefault(&c.ResultTimeout, 30*time.Minute)
	setDefault(&c.Retry, time.Second)
	return c
}

// Generations takes pictures and videos that people ask for from the request to the canvas: what each has come to is in its room's stream, and what a crash cut
// is taken up there. It is a process handler, and the road of those who ask. Methods may be called concurrently, on several nodes; one of them follows.
type Generations struct {
	cfg    GenerationConfig
	space  uuid.UUID
	ids    *idSource
	copies *semaphore.Weighted
	stop   context.CancelFunc
	base   context.Context
	wg     sync.WaitGroup
	over   *prometheus.CounterVec

	mu      sync.Mutex
	closed  bool
	follows map[generationKey]*follow
}

type generationKey struct{ room, id string }

// NewGenerations starts; Close ends it.
func NewGenerations(cfg GenerationConfig) *Generations {
	g := &Generations{cfg: cfg.withDefaults(), follows: map[generationKey]*follow{}, space: uuid.NewSHA1(uuid.NameSpaceURL, []byte(generationSpace))}
	g.ids, g.copies = newIDSource(g.cfg.Clock), semaphore.NewWeighted(int64(g.cfg.Copies))
	g.base, g.stop = context.WithCancel(context.Background())
	g.over = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kanvas_generations_total", Help: "Generations that this process saw the end of, by what became of them."}, []string{"status"})
	if g.cfg.Metrics != nil {
		g.cfg.Metrics.MustRegister(g.over, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kanvas_generations_following",
			Help: "Generations that this process follows."}, func() float64 { return float64(g.Following()) }))
	}
	g.wg.Go(g.look)
	return g
}

// Close stops following; what is under way goes on with the next process. A job that is being sent is waited for.
func (g *Generations) Close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.stop()
	g.wg.Wait()
}

// Following is how many generations this process follows.
func (g *Generations) Following() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.follows)
}

const (
	generationMention = `"type":"generation.`
	waitingMention    = `"generation":{"id":"` // of an element
	deletedMention    = `"type":"room.deleted"`
)

// AboutGenerations reports whether a record may hold something of a generation: what Generations wants.
func AboutGenerations(rec events.Record) bool {
	return mentions(rec.Payload, generationMention, waitingMention, deletedMention)
}

// Handle takes note of what happens to generations. It does not block.
func (g *Generations) Handle(_ context.Context, rec events.Record) error {
	if rec.Stream.Kind != events.KindRoom || !AboutGenerations(rec) {
		return nil
	}
	c, err := decode(rec)
	if err != nil {
		return fmt.Errorf("%s: sequence %d: %w", rec.Stream, rec.Seq, err)
	}
	follow := func(id string, begin bool) { g.follow(rec.Stream.ID, id, begin, c.Last()) }
	for i := range c.Events {
		switch d := c.Events[i].Payload.(type) {
		case *events.GenerationRequestedData:
			follow(d.ID, true)
		case *events.GenerationSubmittedData:
			follow(d.ID, true)
		case *events.GenerationCanceledData:
			follow(d.ID, d.Open)
		case *events.RoomDeletedData:
			g.lookAll(rec.Stream.ID, c.Last())
		case *events.ElementAddedData:
			if e, err := domain.ParseElement(d.Element); err == nil && domain.WaitsFor(e) != "" {
				follow(domain.WaitsFor(e), true) // also one that is over
			}
		case *events.ElementPatchedData:
			if id := domain.WaitsIn(d.Set); id != "" {
				follow(id, true)
			}
		}
	}
	return nil
}

// look takes up what nobody follows: what a crash left, and what there was no place for.
func (g *Generations) look() {
	t := time.NewTicker(g.cfg.Look)
	defer t.Stop()
	for {
		if g.cfg.Active() {
			err := g.cfg.Table.Unfinished(g.base, func(room, id string) bool {
				g.follow(room, id, true, 0)
				return g.base.Err() == nil
			})
			if err != nil && g.base.Err() == nil {
				g.cfg.Logger.Warn("generations_look", slog.String("error", err.Error()))
			}
		}
		select {
		case <-g.base.Done():
			return
		case <-t.C:
		}
	}
}

// follow has somebody look at a generation now, in the room as of revision or later; begin: also where nobody does so yet.
func (g *Generations) follow(room, id string, begin bool, revision uint64) {
	k := generationKey{room, id}
	g.mu.Lock()
	defer g.mu.Unlock()
	if f := g.follows[k]; f != nil {
		f.again, f.revision = true, max(f.revision, revision)
		select {
		case f.wake <- struct{}{}:
		default:
		}
		return
	}
	if !begin || g.closed || len(g.follows) >= g.cfg.AtOnce {
		return
	}
	f := &follow{g: g, key: k, wake: make(chan struct{}, 1), revision: revision}
	g.follows[k] = f
	g.wg.Go(func() { f.run(g.base) })
}

// lookAll has those that follow a generation of the room look at it now.
func (g *Generations) lookAll(room string, revision uint64) {
	g.mu.Lock()
	var ids []string
	for k := range g.follows {
		if k.room == room {
			ids = append(ids, k.id)
		}
	}
	g.mu.Unlock()
	for _, id := range ids {
		g.follow(room, id, false, revision)
	}
}

// ended forgets a follow, unless something happened since it last looked.
func (g *Generations) ended(f *follow) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f.again && g.base.Err() == nil {
		return false
	}
	delete(g.follows, f.key)
	return true
}

// command has a room take a command of the system.
func (g *Generations) command(ctx context.Context, room string, c domain.Command, key string) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, generationCommand)
	defer cancel()
	return g.cfg.Rooms.Do(ctx, room, Request{Actor: domain.Actor{ID: domain.SystemID}, Commands: []domain.Command{c}, Key: key, Hash: key})
}

// Outcome says what became of a generation, as of the log's head.
func (g *Generations) Outcome(ctx context.Context, room, id string) (Outcome, error) {
	v, err := g.cfg.Rooms.View(ctx, room)
	gone := isCode(err, domain.CodeNotFound)
	if err != nil && !gone {
		return Outcome{}, err
	}
	if !gone {
		if is := domain.FindGeneration(v.Generations, id); is != nil {
			if is.Status == domain.GenerationUnknown {
				return Outcome{Known: true, Final: true, Cost: is.Estimate}, nil
			}
			return Outcome{Known: true}, nil
		}
	}
	r, ok, err := g.cfg.Table.Generation(ctx, room, id)
	if err != nil || !ok {
		return Outcome{}, err
	}
	switch r.Status {
	case domain.GenerationSucceeded, domain.GenerationFailed, domain.GenerationCanceled, domain.GenerationUnknown:
		return Outcome{Known: true, Final: true, Cost: r.Cost}, nil
	case domain.GenerationQueued:
		return Outcome{Known: true, Final: gone}, nil
	}
	return Outcome{Known: true, Final: gone, Cost: r.Estimate}, nil // the room was deleted while it was under way
}

// Heard takes in what a webhook says: the job of a generation is requestID, and something became of it. It returns once that is durable; a repeat is no error.
func (g *Generations) Heard(ctx context.Context, room, id, requestID string) error {
	v, err := g.cfg.Rooms.View(ctx, room)
	if isCode(err, domain.CodeNotFound) {
		return nil // the room was deleted
	}
	if err != nil {
		return err
	}
	is := domain.FindGeneration(v.Generations, id)
	switch {
	case is == nil:
		return g.heardLate(ctx, room, id)
	case is.RequestID == "":
		ref, err := g.cfg.Jobs.Ref(is.Model, requestID)
		if err != nil {
			return domain.Errorf(domain.CodeBadRequest, "the webhook names no job")
		}
		if _, err := g.command(ctx, room, domain.AdvanceGeneration{To: submittedAs(id, ref)}, ""); err != nil && !isCode(err, domain.CodeNotFound) {
			return err
		}
	case is.RequestID != requestID:
		g.cfg.Logger.Warn("generation_of_another_job", slog.String("roomId", room), slog.String("generation", id), slog.String("job", requestID))
	}
	g.follow(room, id, false, 0)
	return nil
}

// heardLate is for a generation that the room, as this process knows it, has not: it is over, or another node was faster than the news of it. Then the webhook
// has to come again.
func (g *Generations) heardLate(ctx context.Context, room, id string) error {
	r, ok, err := g.cfg.Table.Generation(ctx, room, id)
	if err != nil {
		return err
	}
	if ok && r.over() {
		return nil
	}
	return domain.Errorf(domain.CodeReadOnly, "the generation is not known here yet, say so again later")
}

func submittedAs(id string, ref JobRef) *events.GenerationSubmittedData {
	return &events.GenerationSubmittedData{ID: id, RequestID: ref.RequestID, StatusURL: ref.StatusURL, ResponseURL: ref.ResponseURL, CancelURL: ref.CancelURL}
}

// requested reads what a generation was asked for: the event, from the log.
func (g *Generations) requested(ctx context.Context, room string, revision uint64) (d *events.GenerationRequestedData, user string, err error) {
	err = g.cfg.Rooms.Commits(ctx, room, revision-1, func(c *events.Commit) bool {
		if i := int(revision - c.First); revision >= c.First && i < len(c.Events) {
			d, _ = c.Events[i].Payload.(*events.GenerationRequestedData)
			user = c.Events[i].Actor
		}
		return false
	})
	if err == nil && d == nil {
		err = fmt.Errorf("no generation was requested at revision %d of room %s", revision, room)
	}
	return d, user, err
}

// errForgotten: the key of whoever asked is gone.
var errForgotten = errors.New("what was asked for can't be read any more")

// asked opens what a generation was asked for.
func (g *Generations) asked(ctx context.Context, room string, revision uint64) (a asked, user string, err error) {
	d, user, err := g.requested(ctx, room, revision)
	if err != nil {
		return a, "", err
	}
	text, err := g.cfg.Sealer.open(ctx, user, d.Request)
	if errors.Is(err, errNoKey) || errors.Is(err, errSealed) {
		return a, user, fmt.Errorf("%w: %w", errForgotten, err)
	}
	if err != nil {
		return a, user, err
	}
	a, err = readAsked(text)
	return a, user, err
}

func (a *asked) sealed() (string, error) {
	b, err := json.Marshal(a)
	if err != nil {
		return "", fmt.Errorf("what was asked for: %w", err)
	}
	if len(b) > domain.MaxGenerationBytes {
		return "", domain.Errorf(domain.CodeTooLarge, "prompt and input have at most %d bytes together, pictures in them left aside", domain.MaxGenerationBytes)
	}
	return string(b), nil
}
