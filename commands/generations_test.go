package commands_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/infra/fal/faltest"
)

// enter makes a room with somebody in it.
func (m *makers) enter(room, person string) {
	m.t.Helper()
	createRoom(m.t, m.rooms, room)
	mustDo(m.t, m.rooms, room, by(person, domain.Join{}))
}

func (m *makers) order(p *maker, room, person, prompt string) (string, error) {
	return p.gens.Request(testContext(m.t), room, domain.Actor{ID: person}, domain.RoleEditor, commands.GenerationRequest{Model: picturesOnly, Prompt: prompt})
}

// ends waits until the generation is over, or unknown.
func (m *makers) ends(room, id string) commands.GenerationRecord {
	m.t.Helper()
	ctx := testContext(m.t)
	for {
		r, ok, err := roomTable{m.rooms, room}.Generation(ctx, room, id)
		if err != nil {
			m.t.Fatal(err)
		}
		switch r.Status {
		case domain.GenerationSucceeded, domain.GenerationFailed, domain.GenerationCanceled, domain.GenerationUnknown:
			return r
		}
		if ctx.Err() != nil {
			m.t.Fatalf("%s: %t %+v", id, ok, r)
		}
	}
}

// TestTwoNodesMakeAPictureOnce: two processes with rooms of their own follow the same generations; each job is sent by one of them.
func TestTwoNodesMakeAPictureOnce(t *testing.T) {
	m := newMakers(t)
	const rounds = 12
	m.enter("r", "ann")
	other := newNode(t, m.log, func(c *commands.Config) { c.Clock = m.clock })
	grace := func(c *commands.GenerationConfig) { c.Grace = time.Minute }
	first := m.start(newFuse(0, false), "r", grace)
	defer first.gens.Close()
	second := m.start(newFuse(0, false), "r", grace, func(c *commands.GenerationConfig) { c.Rooms, c.Table = other, roomTable{other, "r"} })
	defer second.gens.Close()
	var wg sync.WaitGroup
	ids := make([]string, rounds)
	for i := range rounds {
		wg.Go(func() {
			p := first
			if i%2 == 0 {
				p = second
			}
			var err error
			if ids[i], err = m.order(p, "r", "ann", fmt.Sprint("cat ", i)); err != nil {
				t.Errorf("round %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	for i, id := range ids {
		if r := m.ends("r", id); r.Status != domain.GenerationSucceeded {
			t.Errorf("round %d: %s", i, r.Status)
		}
		if n := len(m.jobsOf(fmt.Sprint("cat ", i))); n != 1 {
			t.Errorf("round %d: %d jobs", i, n)
		}
	}
}

func TestNothingIsSentForWhoWasForgotten(t *testing.T) {
	m := newMakers(t)
	m.enter("r", "ann")
	p := m.start(newFuse(0, false), "r", func(c *commands.GenerationConfig) { c.Look = time.Hour })
	id, err := m.order(p, "r", "ann", "a secret")
	if err != nil {
		t.Fatal(err)
	}
	p.gens.Close()
	keys := openKeys(t, m.log)
	if err := keys.Destroy(testContext(t), "ann"); err != nil {
		t.Fatal(err)
	}
	m.sealer = commands.NewSealer(keys)
	p = m.start(newFuse(0, false), "r")
	defer p.gens.Close()
	if r := m.ends("r", id); r.Status != domain.GenerationFailed || r.Cost != 0 {
		t.Errorf("%+v", r)
	}
	if n := len(m.fal.Jobs()); n != 0 {
		t.Errorf("%d jobs", n)
	}
	if _, err := m.order(p, "r", "ann", "again"); !hasCode(err, domain.CodeForbidden) {
		t.Errorf("who was forgotten asks: %v", err)
	}
}

// TestWhatWasPaidForIsKeptBeyondTheQuota: a result is never lost for want of space; the next request is refused.
func TestWhatWasPaidForIsKeptBeyondTheQuota(t *testing.T) {
	m := newMakers(t)
	m.quota = 1000
	m.enter("r", "ann")
	p := m.start(newFuse(0, false), "r")
	defer p.gens.Close()
	id, err := m.order(p, "r", "ann", "a cat")
	if err != nil {
		t.Fatal(err)
	}
	if r := m.ends("r", id); r.Status != domain.GenerationSucceeded {
		t.Fatalf("%+v", r)
	}
	if u, err := p.quota.Of(testContext(t), "ann"); err != nil || u.Kept != int64(len(faltest.Picture)) {
		t.Errorf("%+v (%v)", u, err)
	}
	if _, err := m.order(p, "r", "ann", "a dog"); !hasCode(err, domain.CodeTooLarge) {
		t.Errorf("with nothing left: %v", err)
	}
	if n := len(m.fal.Jobs()); n != 1 {
		t.Errorf("%d jobs", n)
	}
}

// unreached are jobs that can't be sent for a time.
type unreached struct {
	commands.Jobs
	times, tried atomic.Int32
}

func (a *unreached) Submit(ctx context.Context, j commands.Job) (commands.JobRef, error) {
	if a.tried.Add(1) <= a.times.Load() {
		return commands.JobRef{}, fmt.Errorf("%w: nobody answers", commands.ErrNotSent)
	}
	return a.Jobs.Submit(ctx, j)
}

func TestWhatWasNotSentIsSentAgainButNotForEver(t *testing.T) {
	m := newMakers(t)
	m.enter("r", "ann")
	for _, c := range []struct {
		times int32
		want  domain.GenerationStatus
		tried int32
		jobs  int
	}{{3, domain.GenerationSucceeded, 4, 1}, {100, domain.GenerationFailed, 5, 0}} {
		a := &unreached{Jobs: m.queue}
		a.times.Store(c.times)
		p := m.start(newFuse(0, false), "r", func(g *commands.GenerationConfig) { g.Jobs = a })
		prompt := fmt.Sprint("not sent ", c.times)
		id, err := m.order(p, "r", "ann", prompt)
		if err != nil {
			t.Fatal(err)
		}
		if r := m.ends("r", id); r.Status != c.want || (r.Cost != 0) != (c.jobs > 0) {
			t.Errorf("not sent %d times: %+v", c.times, r)
		}
		if a.tried.Load() != c.tried || len(m.jobsOf(prompt)) != c.jobs {
			t.Errorf("not sent %d times: tried %d times, %d jobs", c.times, a.tried.Load(), len(m.jobsOf(prompt)))
		}
		p.gens.Close()
	}
}

// TestTroubleOnTheWayCostsTime: answers about a job and files of its result that break off are asked for again, the job is not.
func TestTroubleOnTheWayCostsTime(t *testing.T) {
	m := newMakers(t)
	m.enter("r", "ann")
	random := rand.New(rand.NewPCG(3, 4))
	m.fal.Break(func(r *http.Request) faltest.Break {
		if r.Method == http.MethodPost {
			return faltest.Whole
		}
		return []faltest.Break{faltest.Lost, faltest.Cut, faltest.Whole, faltest.Whole}[random.IntN(4)]
	})
	p := m.start(newFuse(0, false), "r")
	defer p.gens.Close()
	id, err := m.order(p, "r", "ann", "a cat")
	if err != nil {
		t.Fatal(err)
	}
	if r := m.ends("r", id); r.Status != domain.GenerationSucceeded || len(m.fal.Jobs()) != 1 {
		t.Errorf("%+v, %d jobs", r, len(m.fal.Jobs()))
	}
}

func TestFilesThatAreGoneOrNoPictures(t *testing.T) {
	m := newMakers(t)
	m.enter("r", "ann")
	p := m.start(newFuse(0, false), "r")
	defer p.gens.Close()
	gone := m.fal.Keep("gone.jpg", "image/jpeg", faltest.Picture)
	gone["url"] = strings.Replace(gone["url"].(string), "gone.jpg", "other.jpg", 1)
	page := m.fal.Keep("page.html", "image/png", []byte("<html><script>alert(1)</script>"))
	cut := m.fal.Keep("cut.jpg", "image/jpeg", faltest.Picture[:len(faltest.Picture)/2])
	good := m.fal.Keep("good.jpg", "image/jpeg", faltest.Picture)
	elsewhere := map[string]any{"url": "https://evil.example.com/x.png"}
	for name, c := range map[string]struct {
		files []any
		want  domain.GenerationStatus
	}{
		"gone":          {[]any{gone}, domain.GenerationFailed},
		"a page":        {[]any{page}, domain.GenerationFailed},
		"cut":           {[]any{cut}, domain.GenerationFailed},
		"elsewhere":     {[]any{elsewhere}, domain.GenerationFailed},
		"one good file": {[]any{page, good, cut}, domain.GenerationSucceeded},
	} {
		m.plan(faltest.Plan{Output: map[string]any{"images": c.files}})
		id, err := m.order(p, "r", "ann", name)
		if err != nil {
			t.Fatal(err)
		}
		r := m.ends("r", id)
		if r.Status != c.want || r.Cost == 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if u, err := p.quota.Of(testContext(t), "ann"); err != nil || u.Kept != int64(len(faltest.Picture)) || u.Reserved != 0 {
		t.Errorf("kept: %+v (%v)", u, err)
	}
}

// TestTheLastWordIsWaitedFor: where a webhook may still tell that a job was taken, it is waited for; time that is up makes it unknown.
func TestTheLastWordIsWaitedFor(t *testing.T) {
	m := newMakers(t)
	m.enter("r", "ann")
	m.fal.Break(func(r *http.Request) faltest.Break {
		if r.Method == http.MethodPost {
			return faltest.Lost
		}
		return faltest.Whole
	})
	p := m.start(newFuse(0, false), "r", func(c *commands.GenerationConfig) {
		c.Webhook = func(string, string) string { return "https://kanvas.example.com/hook" }
	})
	defer func() { p.gens.Close() }()
	id, err := m.order(p, "r", "ann", "a cat")
	if err != nil {
		t.Fatal(err)
	}
	ctx := testContext(t)
	for len(m.jobsOf("a cat")) == 0 {
		if ctx.Err() != nil {
			t.Fatal("no job came")
		}
	}
	p.gens.Close()
	v, err := m.rooms.View(ctx, "r")
	if err != nil || domain.FindGeneration(v.Generations, id).Status != domain.GenerationSubmitting {
		t.Fatalf("it is not waited for: %v", err)
	}
	m.ahead.Add((11 * time.Minute).Milliseconds())
	p = m.start(newFuse(0, false), "r", func(c *commands.GenerationConfig) {
		c.Webhook = func(string, string) string { return "https://kanvas.example.com/hook" }
	})
	if r := m.ends("r", id); r.Status != domain.GenerationUnknown || r.Cost == 0 {
		t.Errorf("%+v", r)
	}
	if len(m.jobsOf("a cat")) != 1 {
		t.Error("it was sent again")
	}
}

// taken waits until the generation's job is known to be taken, and returns its id.
func (m *makers) taken(room, id string) string {
	m.t.Helper()
	for ctx := testContext(m.t); ; {
		v, err := m.rooms.View(ctx, room)
		if err != nil {
			m.t.Fatal(err)
		}
		if is := domain.FindGeneration(v.Generations, id); is != nil && is.RequestID != "" {
			return is.RequestID
		}
	}
}

// TestAResultThatWaitsForTheServer: a job ends while the server is away for longer than a job may take, and the queue doesn't answer at once when it is back.
func TestAResultThatWaitsForTheServer(t *testing.T) {
	m := newMakers(t)
	m.enter("r", "ann")
	m.plan(faltest.Plan{Hold: true})
	p := m.start(newFuse(0, false), "r")
	id, err := m.order(p, "r", "ann", "a cat")
	if err != nil {
		t.Fatal(err)
	}
	job := m.taken("r", id)
	p.gens.Close()
	m.fal.Finish(job)
	m.ahead.Add((72 * time.Hour).Milliseconds())
	var asked atomic.Int64
	m.fal.Fault(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/status") || asked.Add(1) > 3 {
			return false
		}
		w.WriteHeader(http.StatusBadGateway)
		return true
	})
	p = m.start(newFuse(0, false), "r")
	defer p.gens.Close()
	if r := m.ends("r", id); r.Status != domain.GenerationSucceeded {
		t.Errorf("%+v", r)
	}
	if asked.Load() <= 3 || m.jobsOf("a cat")[0].Canceled {
		t.Errorf("asked %d times; %+v", asked.Load(), m.jobsOf("a cat")[0])
	}
}

// TestAnInputThatCanNotBeHandedOver is given up after a time, and costs nothing.
func TestAnInputThatCanNotBeHandedOver(t *testing.T) {
	m := newMakers(t)
	m.enter("r", "ann")
	p := m.start(newFuse(0, false), "r")
	defer p.gens.Close()
	refused := make(chan struct{}, 1)
	m.fal.Fault(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/storage/upload/") {
			return false
		}
		select {
		case refused <- struct{}{}:
		default:
		}
		w.WriteHeader(http.StatusForbidden)
		return true
	})
	id, err := p.gens.Request(testContext(t), "r", domain.Actor{ID: "ann"}, domain.RoleEditor, commands.GenerationRequest{
		Model: picturesOnly, Prompt: "a cat", Input: json.RawMessage(`{"image_url":"` + dataURL("image/png", faltest.Drawing) + `"}`)})
	if err != nil {
		t.Fatal(err)
	}
	<-refused
	m.ahead.Add((3 * time.Hour).Milliseconds())
	if r := m.ends("r", id); r.Status != domain.GenerationFailed || r.Code != commands.FailedUpstream || r.Cost != 0 {
		t.Errorf("%+v", r)
	}
	if len(m.jobsOf("a cat")) != 0 {
		t.Error("it was sent without its picture")
	}
}

func TestAJobThatNeverEnds(t *testing.T) {
	m := newMakers(t)
	m.enter("r", "ann")
	m.plan(faltest.Plan{Hold: true})
	p := m.start(newFuse(0, false), "r")
	defer p.gens.Close()
	id, err := m.order(p, "r", "ann", "a cat")
	if err != nil {
		t.Fatal(err)
	}
	m.taken("r", id)
	m.ahead.Add((3 * time.Hour).Milliseconds())
	if r := m.ends("r", id); r.Status != domain.GenerationFailed || r.Code != commands.FailedTimeout || r.Cost == 0 {
		t.Errorf("%+v", r)
	}
	if !m.jobsOf("a cat")[0].Canceled {
		t.Error("fal.ai was not asked to end it")
	}
}

// TestWhatWasSurelyNotSentIsSentAfterARestart: that nothing was sent is in the log, so the next process doesn't take it for unknown.
func TestWhatWasSurelyNotSentIsSentAfterARestart(t *testing.T) {
	m := newMakers(t)
	m.enter("r", "ann")
	a := &unreached{Jobs: m.queue}
	a.times.Store(1000)
	p := m.start(newFuse(0, false), "r", func(g *commands.GenerationConfig) { g.Jobs, g.Retry = a, time.Hour })
	id, err := m.order(p, "r", "ann", "a cat")
	if err != nil {
		t.Fatal(err)
	}
	for ctx := testContext(t); ; {
		v, err := m.rooms.View(ctx, "r")
		if err != nil {
			t.Fatal(err)
		}
		if is := domain.FindGeneration(v.Generations, id); is.Status == domain.GenerationQueued && is.Attempt == 1 {
			break
		}
	}
	p.gens.Close()
	p = m.start(newFuse(0, false), "r")
	defer p.gens.Close()
	if r := m.ends("r", id); r.Status != domain.GenerationSucceeded || len(m.fal.Jobs()) != 1 {
		t.Errorf("%+v, %d jobs", r, len(m.fal.Jobs()))
	}
}
