package projections

import (
	"encoding/json"

	"github.com/infinite-kanvas/kanvas/events"
)

// generationDelta is what a batch does to one row of generations. A member that is nil stays as it is.
type generationDelta struct {
	room, id  string
	requested *events.GenerationRequestedData
	user      any
	at        string
	revision  uint64

	status, open                                any
	assets, seed, cost, kept                    any
	reason, detail, said, retryable             any
	submittedAt, startedAt, finishedAt, tookFor any
}

func (f *fold) generation(room, id string) *generationDelta {
	g := f.generations.get(room + "/" + id)
	g.room, g.id = room, id
	return g
}

func (g *generationDelta) is(status string) *generationDelta {
	g.status, g.open = status, int64(0)
	return g
}

// addGeneration folds in the events of generations.
func (f *fold) addGeneration(room string, fc *fact, at string) {
	switch d := fc.event.Payload.(type) {
	case *events.GenerationRequestedData:
		g := f.generation(room, d.ID).is("queued")
		g.requested, g.user, g.at, g.revision = d, f.person(fc.event.Actor), at, fc.revision
	case *events.GenerationSubmittingData:
		f.generation(room, d.ID).is("submitting")
	case *events.GenerationUnsentData:
		f.generation(room, d.ID).is("queued")
	case *events.GenerationSubmittedData:
		f.generation(room, d.ID).taken(at)
	case *events.GenerationStartedData:
		f.generation(room, d.ID).is("running").startedAt = at
	case *events.GenerationSucceededData:
		g := f.generation(room, d.ID).is("succeeded")
		g.came(d.Assets, d.Seed, d.Cost, d.DurationMS, at)
		g.kept = flag(d.Kept)
	case *events.GenerationFailedData:
		g := f.generation(room, d.ID).is("failed")
		g.reason, g.detail, g.said, g.retryable = d.Code, d.Detail, orNil(string(d.Said)), flag(d.Retryable)
		g.cost, g.finishedAt = d.Cost, at
	case *events.GenerationCanceledData:
		g := f.generation(room, d.ID).is("canceled")
		g.open, g.finishedAt = flag(d.Open), at
		if !d.Open {
			g.cost = int64(0)
		}
	case *events.GenerationUnknownData:
		f.generation(room, d.ID).is("unknown").cost = d.Cost
	case *events.GenerationSettledData:
		g := f.generation(room, d.ID).is("canceled")
		g.came(d.Assets, d.Seed, d.Cost, d.DurationMS, at)
		g.kept = int64(0)
	}
}

// taken notes where the job was taken: a canceled one stays canceled. Which it is, only the row knows where the batch doesn't.
func (g *generationDelta) taken(at string) {
	g.submittedAt = at
	if g.status != "canceled" {
		g.status, g.open = takenStatus, int64(0)
	}
}

// takenStatus stands for submitted, unless the row says canceled.
const takenStatus = "submitted"

func (g *generationDelta) came(assets []string, seed string, cost, tookFor int64, at string) {
	g.assets, g.seed, g.cost, g.tookFor, g.finishedAt = jsonList(assets), orNil(seed), cost, tookFor, at
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// jsonList is a list as JSON, NULL where there is none.
func jsonList(list []string) any {
	if len(list) == 0 {
		return nil
	}
	b, err := json.Marshal(list)
	if err != nil {
		return nil // strings can't fail
	}
	return string(b)
}

var (
	generationSQL = &template{`INSERT INTO {t}generations (room_id, id, user_id, revision, model, result, request, element_id, retry_of, status, open, inputs, estimate, requested_at) VALUES `,
		"(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", "", 14}
	generationTakenSQL = &template{"", `UPDATE {t}generations SET submitted_at = ?,
 status = CASE status WHEN 'canceled' THEN status ELSE 'submitted' END WHERE room_id = ? AND id = ?`, "", 3}
	generationProgressSQL = &template{"", `UPDATE {t}generations SET status = coalesce(?, status), open = coalesce(?, open), assets = coalesce(?, assets),
 seed = coalesce(?, seed), cost = coalesce(?, cost), kept = coalesce(?, kept), reason = coalesce(?, reason), detail = coalesce(?, detail), said = coalesce(?, said),
 retryable = coalesce(?, retryable), submitted_at = coalesce(?, submitted_at), started_at = coalesce(?, started_at), finished_at = coalesce(?, finished_at),
 duration_ms = coalesce(?, duration_ms) WHERE room_id = ? AND id = ?`, "", 16}
)

func (f *fold) emitGenerations(e *emitter) {
	rows := e.rows(generationSQL)
	for _, key := range f.generations.ids {
		if g := f.generations.byID[key]; g.requested != nil {
			d := g.requested
			rows.add(g.room, g.id, g.user, int64(g.revision), d.Model, d.Result, string(d.Request), d.Element, orNil(d.RetryOf), g.status, g.open, jsonList(d.Assets), d.Estimate, g.at)
		}
	}
	rows.flush()
	for _, key := range f.generations.ids {
		switch g := f.generations.byID[key]; {
		case g.requested != nil && g.plain():
		case g.requested == nil && g.status == takenStatus && g.submittedAt != nil && g.cost == nil:
			e.one(generationTakenSQL, g.submittedAt, g.room, g.id)
		default:
			e.one(generationProgressSQL, g.status, g.open, g.assets, g.seed, g.cost, g.kept, g.reason, g.detail, g.said, g.retryable,
				g.submittedAt, g.startedAt, g.finishedAt, g.tookFor, g.room, g.id)
		}
	}
}

// plain reports whether the inserted row says all that there is.
func (g *generationDelta) plain() bool {
	return g.cost == nil && g.submittedAt == nil && g.startedAt == nil && g.finishedAt == nil
}
