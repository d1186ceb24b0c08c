package commands_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// The simulation: two nodes on one real log whose answers are lost, late, refused or wrong about the outcome; rooms are unloaded and nodes replaced all
// the time; clients send each command until it is answered, and some of them again later. It must hold that
//
//   - the log's chain verifies, and no command is completed twice;
//   - every command that was acknowledged is completed in the log, at the revisions that the client was told, also when it asks again;
//   - no watcher misses a revision or gets one twice, and none is told of what is not in the log;
//   - both nodes end with the state that the log gives.
//
// SIM_SEED=n runs one seed, SIM_SEEDS=n that many from 1. Scheduling is the machine's: a seed fixes the faults and the commands, not the interleaving.
func TestSim(t *testing.T) {
	seeds := pinnedSeeds
	if s := os.Getenv("SIM_SEED"); s != "" {
		seeds = []uint64{parseSeed(t, s)}
	} else if s := os.Getenv("SIM_SEEDS"); s != "" {
		seeds = nil
		for i := range parseSeed(t, s) {
			seeds = append(seeds, i+1)
		}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { simulate(t, seed) })
	}
}

// pinnedSeeds are run always; seeds that found something stay here.
var pinnedSeeds = []uint64{1, 2, 3}

func parseSeed(t *testing.T, s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

const (
	simClients  = 6
	simCommands = 60 // each
)

type sim struct {
	t       *testing.T
	log     *faultyLog
	real    commands.Log
	objects *memoryObjects
	rows    *snapshotRows
	nodes   [2]atomic.Pointer[commands.Dispatcher]
	answers sync.Map // commands.Result by client/seq

	mu   sync.Mutex
	rng  *rand.Rand
	off  atomic.Bool // no more faults
	late sync.WaitGroup
}

func (s *sim) roll(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rng.IntN(n)
}

func simulate(t *testing.T, seed uint64) {
	real := openLog(t)
	s := &sim{t: t, real: real, objects: newObjects(), rows: &snapshotRows{}, rng: rand.New(rand.NewPCG(seed, 0))}
	s.log = &faultyLog{Log: real, onAppend: s.append, onRead: s.read}
	for i := range s.nodes {
		s.nodes[i].Store(s.node())
	}
	s.off.Store(true)
	createRoom(t, s.nodes[0].Load(), "r")
	s.off.Store(false)

	stop := make(chan struct{})
	var chaos, clients sync.WaitGroup
	chaos.Go(func() { s.replaceNodes(stop) })
	chaos.Go(func() { s.watch(stop) })
	for c := range simClients {
		clients.Go(func() { s.client(fmt.Sprint("c", c), rand.New(rand.NewPCG(seed, uint64(c+1)))) })
	}
	clients.Wait()
	s.off.Store(true)
	close(stop)
	chaos.Wait()
	s.check()
	for i := range s.nodes {
		closeNode(t, s.nodes[i].Load())
	}
}

func (s *sim) node() *commands.Dispatcher {
	return commands.NewDispatcher(commands.Config{Log: s.log, Objects: s.objects, Snapshots: s.rows,
		IdleAfter: 2 * time.Millisecond, UnknownFor: 20 * time.Millisecond})
}

func (s *sim) append(ctx context.Context, st events.Stream, after uint64, payload []byte) (uint64, error) {
	if s.off.Load() {
		return s.real.Append(ctx, st, after, payload)
	}
	switch s.roll(20) {
	case 0: // stored, and nobody hears of it
		if _, err := s.real.Append(ctx, st, after, payload); err != nil {
			return 0, err
		}
		return 0, commands.ErrUnknownOutcome
	case 1: // lost on the way
		return 0, commands.ErrUnknownOutcome
	case 2:
		return 0, commands.ErrLogReadOnly
	case 3: // the caller gives up, the append comes through later
		late := context.WithoutCancel(ctx)
		s.late.Go(func() { _, _ = s.real.Append(late, st, after, payload) })
		return 0, commands.ErrUnknownOutcome
	case 4: // repeated by the network: the second one is refused by the sequence, and its answer is the one that arrives
		if _, err := s.real.Append(ctx, st, after, payload); err != nil {
			return 0, err
		}
		return s.real.Append(ctx, st, after, payload)
	}
	return s.real.Append(ctx, st, after, payload)
}

func (s *sim) read(ctx context.Context, st events.Stream, from uint64, yield func(events.Record) bool) error {
	if !s.off.Load() && s.roll(30) == 0 {
		return fmt.Errorf("the log can't be read")
	}
	return s.real.Read(ctx, st, from, yield)
}

// replaceNodes closes a node and starts another in its place, again and again; in between it writes a snapshot.
func (s *sim) replaceNodes(stop chan struct{}) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		d := s.nodes[i%2].Load()
		if cs := len(readRecords(s.t, s.real, "r")); cs > 0 && i%3 == 0 {
			c, err := events.Decode(readRecords(s.t, s.real, "r")[cs-1].Payload)
			if err != nil {
				s.t.Error(err)
				return
			}
			if body, ref, err := d.SnapshotAt(s.t.Context(), "r", c.Last()); err == nil {
				s.objects.mu.Lock()
				s.objects.m[ref.Key] = body
				s.objects.mu.Unlock()
				_ = s.rows.written(s.t.Context(), "r", ref)
			}
		}
		s.nodes[i%2].Store(s.node())
		closeNode(s.t, d)
	}
}

// watch follows the room on one node after the other; a watcher must get every revision from its View on.
func (s *sim) watch(stop chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		f := newFollower()
		w, err := s.nodes[i%2].Load().Watch(s.t.Context(), "r", f)
		if err != nil {
			continue // the node is being replaced, or the log can't be read
		}
		views := make(chan *commands.View, 1)
		w.View(func(v *commands.View) { views <- v })
		var v *commands.View
		f.waitOr(s.t, stop, "ten commits or the end", func(f *follower) bool { return f.isEnded || len(f.commits) >= 10 })
		w.Close()
		select {
		case v = <-views:
		default:
			continue // ended before
		}
		f.mu.Lock()
		next := v.Revision + 1
		for _, c := range f.commits {
			if c.Last() > v.Revision {
				if c.First != next {
					s.t.Errorf("a watcher at %d got revision %d, want %d", v.Revision, c.First, next)
				}
				next = c.Last() + 1
			}
		}
		f.mu.Unlock()
	}
}

// client sends its commands in order, each until it is answered.
func (s *sim) client(name string, rng *rand.Rand) {
	var sent []commands.Request
	for i := 1; i <= simCommands; i++ {
		r := bySeq(owner, name, uint64(i), s.command(name, i, rng))
		if rng.IntN(5) == 0 {
			r.Commands = append(r.Commands, s.command(name, i+1000, rng))
		}
		s.send(r, rng, false)
		sent = append(sent, r)
		if rng.IntN(4) == 0 {
			s.send(sent[rng.IntN(len(sent))], rng, true)
		}
	}
}

func (s *sim) command(name string, i int, rng *rand.Rand) domain.Command {
	switch rng.IntN(4) {
	case 0:
		return patch(fmt.Sprint("shared", rng.IntN(3)), name, fmt.Sprint(i))
	case 1:
		return domain.RemoveElements{IDs: []string{fmt.Sprintf("%s-%d", name, rng.IntN(i))}}
	case 2:
		return domain.AddElement{Element: element(s.t, fmt.Sprint("shared", rng.IntN(3)))}
	default:
		return domain.AddElement{Element: element(s.t, fmt.Sprintf("%s-%d", name, i))}
	}
}

// send returns when the command is acknowledged or rejected for good.
func (s *sim) send(r commands.Request, rng *rand.Rand, again bool) {
	key := fmt.Sprintf("%s/%d", r.Client, r.Seq)
	for {
		res, err := s.nodes[rng.IntN(2)].Load().Do(testContext(s.t), "r", r)
		first, known := s.answers.Load(key)
		switch {
		case hasCode(err, domain.CodeReadOnly):
			continue
		case hasCode(err, domain.CodeConflict) && (!known || changedNothing(first)):
			return // an answer that changed nothing is lost with a node that makes no further commit: then it is decided anew
		case err != nil:
			s.t.Errorf("%s: %v (again %v)", key, err, again)
			return
		case known:
			if f := first.(commands.Result); !changedNothing(f) && (res.First != f.First || res.Last != f.Last) {
				s.t.Errorf("%s was answered %d–%d, then %d–%d", key, f.First, f.Last, res.First, res.Last)
			}
		}
		s.answers.LoadOrStore(key, res)
		return
	}
}

func changedNothing(res any) bool {
	r := res.(commands.Result)
	return r.First > r.Last
}

func (s *sim) check() {
	t := s.t
	s.late.Wait()
	cs := readRoom(t, s.real, "r")
	done := map[string]events.Done{}
	for _, c := range cs {
		for _, d := range c.Done {
			done[fmt.Sprintf("%s/%d", d.Client, d.Seq)] = d
		}
	}
	s.answers.Range(func(k, v any) bool {
		res := v.(commands.Result)
		if changedNothing(res) {
			return true
		}
		if d, ok := done[k.(string)]; !ok || d.First != res.First || d.Last != res.Last {
			t.Errorf("%s was acknowledged at %d–%d, the log says %d–%d", k, res.First, res.Last, d.First, d.Last)
		}
		return true
	})
	want := replayed(t, "r", cs)
	for i := range s.nodes {
		var v *commands.View
		eventually(t, "the node's view", func() bool {
			var err error
			v, err = s.nodes[i].Load().View(testContext(t), "r")
			return err == nil && v.Revision >= want.Revision()
		})
		if v.Revision != want.Revision() || canvasOf(v.Elements) != canvasOf(want.Elements()) {
			t.Errorf("node %d is at revision %d of %d, or has another canvas", i, v.Revision, want.Revision())
		}
	}
	t.Logf("%d revisions in %d commits", want.Revision(), len(cs))
}
