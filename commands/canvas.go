package commands

import (
	"context"
	"strconv"
)

// CanvasAt returns `{"revision":N,"elements":[…]}` with the elements in paint order, as of a revision; also of a room deleted since. The bytes
// depend on the log alone.
func (d *Dispatcher) CanvasAt(ctx context.Context, roomID string, revision uint64) ([]byte, error) {
	v, err := d.viewAt(ctx, roomID, revision)
	if err != nil {
		return nil, err
	}
	n := 64
	for _, e := range v.Elements {
		n += len(e.JSON()) + 1
	}
	b := append(make([]byte, 0, n), `{"revision":`...)
	b = strconv.AppendUint(b, revision, 10)
	b = append(b, `,"elements":[`...)
	for i, e := range v.Elements {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, e.JSON()...)
	}
	return append(b, ']', '}'), nil
}
