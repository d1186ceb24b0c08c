package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/infra/fal/faltest"
)

// maker is somebody who asks for a picture, over every crash.
type maker struct {
	t            *testing.T
	falai        *faltest.Server
	base, token  string
	person, room string
	model        string
	prompt       string // nobody else's
	input        map[string]any
	webhook      bool

	id        string // once it was heard
	delivered bool
}

// made is a generation, as the API shows it.
type made struct {
	ID, Status string
	ElementID  string `json:"element_id"`
	Assets     []struct{ ID, URL string }
	Cost       int64
	Detail     string
}

func (m *made) over() bool {
	return slices.Contains([]string{"succeeded", "failed", "canceled", "unknown"}, m.Status)
}

// call asks the server; an error is of one that is gone, or of a refusal.
func (m *maker) call(method, path, key string, body, into any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var sent io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, m.base+path, sent)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if m.token != "" {
		req.Header.Set("Authorization", "Bearer "+m.token)
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s %s", method, path, res.Status, got)
	}
	if b, ok := into.(*[]byte); ok {
		*b = got
		return nil
	}
	return json.Unmarshal(got, into)
}

// ask asks for the picture, again with the same key where no answer came.
func (m *maker) ask() error {
	var a struct{ ID string }
	err := m.call("POST", "/v1/rooms/"+m.room+"/generations", "once", map[string]any{"model": m.model, "prompt": m.prompt, "input": m.input}, &a)
	m.id = a.ID
	return err
}

// jobs are those that were sent for it.
func (m *maker) jobs() (list []faltest.Job) {
	for _, j := range m.falai.Jobs() {
		if strings.Contains(j.Input, `"`+m.prompt+`"`) {
			list = append(list, j)
		}
	}
	return list
}

// wait follows it until it is over, or the server is dead. What fal.ai tells by webhook is told until it is taken.
func (m *maker) wait(srv *server) (is made, err error) {
	for deadline := time.Now().Add(time.Minute); !srv.died(); time.Sleep(5 * time.Millisecond) {
		jobs := m.jobs()
		if m.webhook && len(jobs) > 0 && !m.delivered {
			status, err := m.falai.Deliver(jobs[0].ID, m.base)
			m.delivered = err == nil && status == http.StatusOK
		}
		err = m.call("GET", "/v1/rooms/"+m.room+"/generations/"+m.id, "", nil, &is)
		// What is unknown is begun anew by a webhook.
		if err == nil && is.over() && (is.Status != "unknown" || !m.webhook || len(jobs) == 0) {
			return is, nil
		}
		if time.Now().After(deadline) {
			return is, fmt.Errorf("it stays %q (%w)", is.Status, err)
		}
	}
	return is, err
}

// check says what is wrong with what became of it.
func (m *maker) check(is *made) error {
	jobs := m.jobs()
	if len(jobs) > 1 {
		return fmt.Errorf("%d jobs were sent", len(jobs))
	}
	var log struct {
		Events []struct{ Type string }
	}
	if err := m.call("GET", "/v1/rooms/"+m.room+"/events?limit=1000", "", nil, &log); err != nil {
		return err
	}
	count := map[string]int{}
	for _, e := range log.Events {
		count[e.Type]++
	}
	switch {
	case count["generation.requested"] != 1 || count["generation.submitting"] > 1 || count["generation.succeeded"] > 1:
		return fmt.Errorf("the log has %v", count)
	case is.Status == "unknown" && len(jobs) == 1 && (m.webhook || count["generation.submitted"] > 0):
		return errors.New("a result is lost")
	case is.Status == "unknown":
		return nil
	case is.Status != "succeeded" || len(jobs) != 1 || len(is.Assets) != 1:
		return fmt.Errorf("it is %s: %s, %d jobs, assets %v", is.Status, is.Detail, len(jobs), is.Assets)
	}
	return errors.Join(m.shown(is), m.picture(is))
}

// shown wants the result on the canvas, once.
func (m *maker) shown(is *made) error {
	var canvas struct{ Elements []map[string]any }
	if err := m.call("GET", "/v1/rooms/"+m.room+"/canvas", "", nil, &canvas); err != nil {
		return err
	}
	if len(canvas.Elements) != 1 || canvas.Elements[0]["id"] != is.ElementID || canvas.Elements[0]["generation"] != nil || !strings.Contains(fmt.Sprint(canvas.Elements[0]["src"]), is.Assets[0].ID) {
		return fmt.Errorf("the canvas shows %v", canvas.Elements)
	}
	return nil
}

func (m *maker) picture(is *made) error {
	var b []byte
	if err := m.call("GET", "/v1/assets/"+is.Assets[0].ID, "", nil, &b); err != nil {
		return err
	}
	if m.model != "fal-ai/evf-sam" {
		if !bytes.Equal(b, faltest.Picture) {
			return fmt.Errorf("%d bytes are served of %d", len(b), len(faltest.Picture))
		}
		return nil
	}
	cut, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		return err
	}
	if _, _, _, a := cut.At(2, 2).RGBA(); a != 0 || cut.Bounds().Dx() != faltest.PictureWidth {
		return errors.New("what is served is not cut out")
	}
	return nil
}

// TestGenerationKilledAtEveryStep kills the program with SIGKILL before, after and in the middle of every step of a generation, once for each: calls to fal.ai, commits,
// what is put in the store, the accounts. No job may be sent twice, no result that was paid for be lost, nothing be left that belongs to nothing, and nobody's budget
// be held for ever. Without a webhook what was being sent when the program died is unknown, and said to be; with one it is found.
func TestGenerationKilledAtEveryStep(t *testing.T) {
	for name, c := range map[string]struct {
		model   string
		webhook bool
		modes   []string
		skip    int // steps from one death to the next: the first row goes through all, the others differ from it in few
	}{
		"asked for": {"fal-ai/flux-kontext-lora/text-to-image", false, []string{"sent", "before", "after", "during"}, 1},
		"told":      {"fal-ai/flux-kontext-lora/text-to-image", true, []string{"sent", "before", "after"}, 2},
		"cut out":   {"fal-ai/evf-sam", false, []string{"before", "after", "during"}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			falai, env := deadlyFal(t, c.webhook)
			d := newDeaths(t, env...)
			d.skip = c.skip
			var all []*maker
			costs, became := map[string]int64{}, map[string]int{}
			d.everyStep(c.modes, func(srv *server, at string) func(*server) {
				m := &maker{t: t, falai: falai, base: "http://" + srv.addr, model: c.model, webhook: c.webhook, input: map[string]any{"seed": 7}, prompt: "a cat, " + at, room: "r-" + strings.ReplaceAll(at, ":", "-")}
				m.begin()
				all = append(all, m)
				d.arm()
				err := m.ask()
				var is made
				if err == nil {
					is, err = m.wait(srv)
				}
				if err != nil && !srv.waitDead() {
					t.Errorf("%s: %v", at, err)
				}
				if err == nil && is.Status == "succeeded" { // further steps are behind it
					if err := (&sender{base: m.base, token: m.token, asset: is.Assets[0].ID}).small(srv); err != nil {
						t.Errorf("%s: %v", at, err)
					}
				}
				return func(srv *server) {
					if err := m.ask(); err != nil {
						t.Errorf("%s: after the crash: %v", at, err)
						return
					}
					is, err := m.wait(srv)
					if err == nil {
						err = m.check(&is)
					}
					if err != nil {
						t.Errorf("%s: after the crash: %v", at, err)
					}
					costs[m.person] = is.Cost
					became[is.Status]++
				}
			})
			t.Logf("%d kills, %d jobs for %d generations, which became %v", d.kills, len(falai.Jobs()), len(all), became)
			var people []string
			for _, m := range all {
				people = append(people, m.person)
			}
			d.nothingLeft(people, nil)
			d.settled(costs)
		})
	}
}

// deadlyFal is a stand-in for fal.ai, and the settings by which the deadly program uses it.
func deadlyFal(t *testing.T, webhook bool) (*faltest.Server, []string) {
	t.Helper()
	falai := faltest.Start(t)
	falai.SignUploads()
	falai.Plan(func(string, json.RawMessage) faltest.Plan { return faltest.Plan{Hold: webhook, Polls: 1} })
	env := onFal(t, falai, "KANVAS_RATE_LIMITS=off", "KANVAS_BUDGET_USER=1000", "KANVAS_BUDGET_ROOM=1000", "KANVAS_BUDGET_SERVER=10000")
	if webhook {
		env = append(env, "KANVAS_PUBLIC_URL=https://rooms.example.com", "KANVAS_TEST_POLL=1h")
	}
	return falai, env
}

// TestAGenerationThroughTheWorker: the Worker passes fal.ai's signed word on as it came, the result goes to R2, and what became of it to D1.
func TestAGenerationThroughTheWorker(t *testing.T) {
	f := newFront(t)
	falai, env := deadlyFal(t, true)
	bin, err := deadly()
	if err != nil {
		t.Fatal(err)
	}
	srv := startProgram(t, bin, t.TempDir(), f.behind, slices.Concat(f.env, env)...)
	m := &maker{t: t, falai: falai, base: f.URL, model: "fal-ai/flux-kontext-lora/text-to-image", webhook: true, prompt: "a cat", room: "r", input: map[string]any{"seed": 7}}
	m.begin()
	if err := m.ask(); err != nil {
		t.Fatal(err)
	}
	is, err := m.wait(srv)
	if err == nil {
		err = m.check(&is)
	}
	if err != nil || is.Status != "succeeded" || !m.delivered {
		t.Fatalf("%+v %v", is, err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		rows := f.Query(t, "SELECT status, assets FROM generations")
		if len(rows) == 1 && rows[0]["status"] == "succeeded" && strings.Contains(fmt.Sprint(rows[0]["assets"]), is.Assets[0].ID) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("D1 has %v", rows)
		}
	}
	srv.stop()
}

// begin makes the person, the room, and the picture that something is cut out of, before steps count.
func (m *maker) begin() {
	m.t.Helper()
	var g struct {
		Token string
		User  struct{ ID string }
	}
	if err := m.call("POST", "/v1/guests", "", map[string]any{"name": "Ann"}, &g); err != nil {
		m.t.Fatal(err)
	}
	m.token, m.person = g.Token, g.User.ID
	if err := m.call("POST", "/v1/rooms", "", map[string]any{"id": m.room, "name": m.room, "visibility": "private"}, &struct{}{}); err != nil {
		m.t.Fatal(err)
	}
	if m.model != "fal-ai/evf-sam" {
		return
	}
	s := &sender{base: m.base, token: m.token, kind: "image/jpeg", data: faltest.Picture}
	if refused, err := s.send(); err != nil || refused != 0 {
		m.t.Fatal(refused, err)
	}
	m.input = map[string]any{"image_url": "asset:" + s.asset}
}

// settled sweeps the accounts an hour later, and compares them with what the generations cost.
func (d *deaths) settled(costs map[string]int64) {
	t := d.t
	t.Helper()
	n, closeNode := nodeOn(t, d.dir, d.env...)
	defer closeNode()
	n.startProjections()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	ledger, err := n.log.OpenBudgets(ctx)
	if err != nil {
		t.Fatal(err)
	}
	gens := commands.NewGenerations(commands.GenerationConfig{Rooms: n.rooms, Table: generationTable{n}, Active: func() bool { return false }}) // only looks
	defer gens.Close()
	later := commands.NewBudgets(commands.BudgetConfig{Ledger: ledger, Limits: n.cfg.Fal.Budgets, Prices: n.cfg.Fal.Prices, Key: make([]byte, 32), Booked: n.booked, Outcome: gens.Outcome, Streams: n.streams,
		Clock: func() int64 { return time.Now().Add(time.Hour).UnixMilli() }})
	swept, err := later.Sweep(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d spends were settled by the sweep", swept)
	var sum int64
	for person, cost := range costs {
		if s, err := n.budgets.Of(ctx, person); err != nil || s.Spent != cost || s.Reserved != 0 {
			t.Errorf("%s: %+v, the generation cost %d (%v)", person, s, cost, err)
		}
		sum += cost
	}
	if s, err := n.budgets.OfServer(ctx); err != nil || s.Spent != sum || s.Reserved != 0 || sum == 0 {
		t.Errorf("the server: %+v, all generations cost %d (%v)", s, sum, err)
	}
}
