package wire

import (
	"strconv"

	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/projections"
)

// AppendPictures appends `{"type":"assets","assets":{id:{"width","height","placeholder"}}}` for those of rows that a placeholder was made of; nothing
// where there is none.
func AppendPictures(dst []byte, rows []projections.AssetRow) []byte {
	some := false
	for i := range rows {
		r := &rows[i]
		if r.Placeholder == "" {
			continue
		}
		if !some {
			dst = append(dst, `{"type":"assets","assets":{`...)
		} else {
			dst = append(dst, ',')
		}
		some = true
		dst = append(events.AppendString(dst, r.ID), `:{"width":`...)
		dst = strconv.AppendInt(dst, int64(r.Width), 10)
		dst = strconv.AppendInt(append(dst, `,"height":`...), int64(r.Height), 10)
		dst = append(appendString(append(dst, ','), "placeholder", r.Placeholder), '}')
	}
	if some {
		dst = append(dst, `}}`...)
	}
	return dst
}
