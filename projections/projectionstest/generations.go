package projectionstest

import (
	"fmt"

	"github.com/infinite-kanvas/kanvas/events"
)

// generation is one that is not over; status as the domain has it.
type generation struct{ id, status string }

// generate begins a generation, or takes one a step on.
func (h *History) generate(r *room) []any {
	if len(r.generations) == 0 || h.rand.IntN(4) == 0 {
		h.n++
		id := fmt.Sprintf("gen-%d", h.n)
		r.generations = append(r.generations, generation{id, "queued"})
		d := &events.GenerationRequestedData{ID: id, Model: "fal-ai/flux/dev", Request: Seal(`{"prompt":"a cat"}`), Result: "image", Element: id, Added: true, Estimate: h.rand.Int64N(50_000)}
		if h.rand.IntN(2) == 0 {
			d.Assets, d.RetryOf, d.Added = []string{"asset:a", "asset:b"}, "gen-0", false
		}
		return []any{d}
	}
	i := h.rand.IntN(len(r.generations))
	g := &r.generations[i]
	list := h.advance(g)
	if h.rand.IntN(3) == 0 && g.status != "" { // two steps in one commit
		list = append(list, h.advance(g)...)
	}
	if g.status == "" {
		r.generations = append(r.generations[:i], r.generations[i+1:]...)
	}
	return list
}

// advance does what the domain would allow next; a status of "" is over.
func (h *History) advance(g *generation) []any {
	id, n := g.id, h.rand.IntN(6)
	switch {
	case g.status == "queued" && n == 0:
		g.status = ""
		return []any{&events.GenerationCanceledData{ID: id}}
	case g.status == "queued":
		g.status = "submitting"
		return []any{&events.GenerationSubmittingData{ID: id, Attempt: 1}}
	case g.status == "canceled" && n == 1:
		g.status = "canceled and taken"
		return []any{taken(id)}
	case g.status == "canceled", g.status == "canceled and taken":
		g.status = ""
		return []any{&events.GenerationSettledData{ID: id, Assets: []string{"asset:late"}[:n%2], Cost: int64(n) * 7, DurationMS: int64(n)}}
	case n == 0 && g.status != "unknown":
		g.status = "canceled"
		return []any{&events.GenerationCanceledData{ID: id, Open: true}}
	case n == 1 && g.status != "unknown":
		g.status = ""
		return []any{&events.GenerationFailedData{ID: id, Code: "content_policy", Detail: "the model refuses it", Said: Seal("no cats"), Retryable: h.at%2 == 0, Cost: h.rand.Int64N(3)}}
	case g.status == "submitting" && n == 2:
		g.status = "unknown"
		return []any{&events.GenerationUnknownData{ID: id, Cost: 9}}
	case g.status == "submitting" && n == 3:
		g.status = "queued"
		return []any{&events.GenerationUnsentData{ID: id, Attempt: 1}}
	case g.status == "submitting" || g.status == "unknown":
		g.status = "submitted"
		return []any{taken(id)}
	case g.status == "submitted" && n < 4:
		g.status = "running"
		return []any{&events.GenerationStartedData{ID: id}}
	}
	g.status = ""
	return []any{&events.GenerationSucceededData{ID: id, Assets: []string{"asset:" + id}, Seed: "7", Cost: h.rand.Int64N(50_000), DurationMS: 1234, Kept: h.at%2 == 0}}
}

func taken(id string) any {
	return &events.GenerationSubmittedData{ID: id, RequestID: "r-" + id, StatusURL: "s", ResponseURL: "r", CancelURL: "c"}
}
