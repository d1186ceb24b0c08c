package commands_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/fal/faltest"
)

// story is what somebody does in a run.
type story struct {
	name   string
	input  string
	plan   faltest.Plan
	cancel bool // once the job was taken
	want   domain.GenerationStatus
	files  int
}

var stories = []story{
	{name: "a picture", want: domain.GenerationSucceeded, files: 1},
	{name: "two of a picture", want: domain.GenerationSucceeded, files: 2, input: `{"num_images":2,"image_url":"data:image/png;base64,` + base64.StdEncoding.EncodeToString(faltest.Drawing) + `"}`},
	{name: "a failure", want: domain.GenerationFailed, plan: faltest.Plan{Status: 422, Output: map[string]any{"detail": []map[string]any{{"loc": []string{"body", "prompt"}, "msg": "no", "type": "content_policy_violation"}}}}},
	{name: "canceled", want: domain.GenerationCanceled, cancel: true, plan: faltest.Plan{Hold: true}},
}

// TestGenerationsSurviveACrashAnywhere has a process die at every step of a generation, before and after what the step does, and now and then the one
// that comes after it too. Whatever happens: a job is never sent twice; what was paid for is on the canvas and in the store once its job is heard of; what is
// not known to be paid for is told as unknown; nothing is held, and nothing is left behind.
func TestGenerationsSurviveACrashAnywhere(t *testing.T) {
	m := newMakers(t)
	plans := map[string]faltest.Plan{}
	m.fal.Plan(func(_ string, input json.RawMessage) faltest.Plan {
		var in struct {
			Prompt string `json:"prompt"`
		}
		_ = json.Unmarshal(input, &in)
		name, _, _ := strings.Cut(in.Prompt, ":")
		return plans[name]
	})
	for i := range stories {
		plans[stories[i].name] = stories[i].plan
	}
	seed := rand.New(rand.NewPCG(1, 2))
	for _, s := range stories {
		runs, died := 0, map[string]int{}
		for _, after := range []bool{false, true} {
			for at := 1; ; at++ {
				if testing.Short() && (at+runs)%4 != 0 {
					if at > 60 {
						break
					}
					continue
				}
				runs++
				again := 0
				if seed.IntN(3) == 0 {
					again = 1 + seed.IntN(20)
				}
				step := m.crash(t, &s, fmt.Sprintf("%s:%d:%t:%d", s.name, at, after, again), at, after, again)
				if step == "" {
					break // it went through before
				}
				died[step]++
			}
		}
		t.Logf("%s: %d runs, died at %v", s.name, runs, died)
	}
}

// crash is one run; it returns the step at which the first process died.
func (m *makers) crash(t *testing.T, s *story, prompt string, at int, after bool, again int) string {
	t.Helper()
	ctx := testContext(t)
	room := strings.Map(func(c rune) rune {
		if c == ' ' || c == ':' {
			return '-'
		}
		return c
	}, "r-"+prompt)
	person := "p-" + room
	createRoom(t, m.rooms, room)
	mustDo(t, m.rooms, room, by(person, domain.Join{}))
	first := newFuse(at, after)
	p := m.start(first, room)
	id, err := p.gens.Request(ctx, room, domain.Actor{ID: person}, domain.RoleEditor,
		commands.GenerationRequest{Model: picturesOnly, Prompt: prompt, Input: json.RawMessage(s.input), Key: "k", Hash: "h"})
	if err != nil && first.name == "" {
		t.Fatalf("%s: %v", prompt, err)
	}
	m.live(t, s, p, room, person)
	p.gens.Close()
	if again > 0 && first.name != "" {
		second := newFuse(again, after)
		p = m.start(second, room)
		m.live(t, s, p, room, person)
		p.gens.Close()
	}
	p = m.start(newFuse(0, false), room)
	defer p.gens.Close()
	m.live(t, s, p, room, person)
	if err != nil { // who got no answer asks again
		if id, err = p.gens.Request(ctx, room, domain.Actor{ID: person}, domain.RoleEditor,
			commands.GenerationRequest{Model: picturesOnly, Prompt: prompt, Input: json.RawMessage(s.input), Key: "k", Hash: "h"}); err != nil {
			t.Fatalf("%s: asked again: %v", prompt, err)
		}
		m.live(t, s, p, room, person)
	}
	m.judge(t, s, p, room, person, prompt, id)
	return first.name
}

// live waits until the process is dead, or all is said and done in the room.
func (m *makers) live(t *testing.T, s *story, p *maker, room, person string) {
	t.Helper()
	ctx := testContext(t)
	canceled := false
	for {
		select {
		case <-p.fuse.dead:
			return
		default:
		}
		v, err := m.rooms.View(ctx, room)
		if err != nil {
			t.Fatalf("%s: %v", room, err)
		}
		open := false
		for _, g := range v.Generations {
			open = open || g.Status != domain.GenerationUnknown
			if s.cancel && !canceled && g.RequestID != "" && g.Status != domain.GenerationCanceled {
				canceled = true
				_ = p.gens.Cancel(ctx, room, domain.Actor{ID: person}, g.ID) // where the process dies meanwhile the next one is asked
			}
		}
		if !open && p.gens.Following() == 0 {
			return
		}
	}
}

// judge looks at what is left.
func (m *makers) judge(t *testing.T, s *story, p *maker, room, person, prompt, id string) {
	t.Helper()
	ctx := testContext(t)
	jobs := m.jobsOf(prompt)
	if len(jobs) > 1 {
		t.Errorf("%s: %d jobs", prompt, len(jobs))
	}
	record, ok, err := roomTable{m.rooms, room}.Generation(ctx, room, id)
	if err != nil || !ok {
		t.Fatalf("%s: the generation is gone: %v", prompt, err)
	}
	if record.Status == domain.GenerationUnknown {
		if len(jobs) == 0 {
			if s.want != domain.GenerationUnknown && !m.ambiguous(room) {
				t.Errorf("%s: unknown, though nothing was about to be sent", prompt)
			}
		} else if err := p.gens.Heard(ctx, room, id, jobs[0].ID); err != nil { // fal.ai's webhook says so in the end
			t.Fatalf("%s: %v", prompt, err)
		}
		for len(jobs) > 0 {
			v, err := m.rooms.View(ctx, room)
			if err != nil {
				t.Fatal(err)
			}
			if is := domain.FindGeneration(v.Generations, id); is == nil {
				break
			} else if is.Status != domain.GenerationUnknown {
				m.live(t, s, p, room, person)
			}
		}
		record, _, _ = roomTable{m.rooms, room}.Generation(ctx, room, id)
	}
	if len(jobs) > 0 && record.Status != s.want || len(jobs) == 0 && record.Status != domain.GenerationUnknown && record.Status != s.want {
		t.Errorf("%s: it is %s in the end, with %d jobs", prompt, record.Status, len(jobs))
	}
	m.judgeCanvas(t, s, room, prompt, id, &record)
	m.judgeBooks(t, p, person, room, prompt, &record)
}

// ambiguous reports whether a job was announced.
func (m *makers) ambiguous(room string) bool {
	for _, c := range readRoom(m.t, m.log, room) {
		for i := range c.Events {
			if c.Events[i].Type == events.GenerationSubmitting {
				return true
			}
		}
	}
	return false
}

func (m *makers) judgeCanvas(t *testing.T, s *story, room, prompt, id string, record *commands.GenerationRecord) {
	t.Helper()
	v, err := m.rooms.View(testContext(t), room)
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, e := range v.Elements {
		src, _ := e.Get("src")
		_, waits := e.Get("generation")
		switch record.Status {
		case domain.GenerationSucceeded:
			if waits || !strings.HasPrefix(string(src), `"asset:`) {
				t.Errorf("%s: an element is %s", prompt, e.JSON())
			}
			shown++
		case domain.GenerationCanceled:
			t.Errorf("%s: canceled, and there is %s", prompt, e.JSON())
		default:
			if mark, _ := e.Get("generation"); !strings.Contains(string(mark), fmt.Sprintf(`"status":%q`, record.Status)) {
				t.Errorf("%s: %s, and the element says %s", prompt, record.Status, e.JSON())
			}
		}
	}
	if record.Status == domain.GenerationSucceeded && shown != s.files {
		t.Errorf("%s: %d pictures are shown", prompt, shown)
	}
}

// judgeBooks sweeps, as is done from time to time, a day later; then nothing may be held, and every object is an asset's.
func (m *makers) judgeBooks(t *testing.T, p *maker, person, room, prompt string, record *commands.GenerationRecord) {
	t.Helper()
	ctx := testContext(t)
	day := 25 * time.Hour
	m.ahead.Add(day.Milliseconds())
	defer m.ahead.Add(-day.Milliseconds())
	if _, err := m.budgets.Sweep(ctx); err != nil {
		t.Errorf("%s: %v", prompt, err)
	}
	if _, err := p.uploads.Sweep(ctx); err != nil {
		t.Errorf("%s: %v", prompt, err)
	}
	is, err := m.budgets.Of(ctx, person)
	if err != nil || is.Reserved != 0 || is.Spent != record.Cost {
		t.Errorf("%s: reserved %d, spent %d, of a cost of %d (%v)", prompt, is.Reserved, is.Spent, record.Cost, err)
	}
	kept := int64(0)
	err = m.shelf.List(ctx, "", func(o commands.Object) bool {
		if strings.HasPrefix(o.Key, commands.StagedPrefix) {
			t.Errorf("%s: %s was left behind", prompt, o.Key)
		}
		if strings.HasPrefix(o.Key, "images/"+person+"/") {
			kept += o.Size
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	usage, err := p.quota.Of(ctx, person)
	if err != nil || usage.Reserved != 0 || usage.Kept != kept {
		t.Errorf("%s: the quota says %+v of %d bytes (%v)", prompt, usage, kept, err)
	}
}
