package projections

import "github.com/infinite-kanvas/kanvas/events"

// spendingRow is the last that a batch says of one call.
type spendingRow struct {
	*events.SpendingRecordedData
	stream   string
	revision uint64
	user     any
}

func (f *fold) addSpending(ch *change) {
	for i := range ch.facts {
		if d, ok := ch.facts[i].event.Payload.(*events.SpendingRecordedData); ok {
			*f.spending.get(d.ID) = spendingRow{d, ch.stream.ID, ch.facts[i].revision, f.person(d.User)}
		}
	}
}

func (f *fold) emitSpending(e *emitter) {
	rows := e.rows(spendingSQL)
	for _, id := range f.spending.ids {
		s := f.spending.byID[id]
		rows.add(id, s.stream, int64(s.revision), s.user, s.Model, s.Estimate, s.Cost, s.Outcome, positive(s.DurationMS), FormatTime(s.At), orNil(s.Job))
	}
	rows.flush()
}

// positive is NULL for what isn't known.
func positive(n int64) any {
	if n <= 0 {
		return nil
	}
	return n
}
