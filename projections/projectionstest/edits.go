package projectionstest

import (
	"encoding/json"
	"fmt"

	"github.com/infinite-kanvas/kanvas/events"
)

// Edits is a log of about n events of 200 rooms: edits of about 300 bytes, perCommit of them a commit, and a chat message in a hundred.
func Edits(n, perCommit int) *Log {
	log := NewLog(8)
	const rooms = 200
	for r := range rooms {
		log.Append(events.Room(fmt.Sprintf("room-%d", r)), Start, "ann", &events.RoomCreatedData{Name: "Room", Visibility: "public", DefaultRole: "editor", Owner: fmt.Sprintf("user-%d", r%50)})
	}
	var payloads []any
	for i := range n {
		var p any = &events.ElementPatchedData{ID: fmt.Sprintf("element-%d", i%1000), Set: events.Members{
			{Key: "x", Value: json.RawMessage(fmt.Sprint(i))}, {Key: "y", Value: json.RawMessage("123.456")}, {Key: "text", Value: json.RawMessage(`"some text of an element, long enough to be like the real ones"`)}}}
		if i%100 == 99 {
			p = &events.ChatPostedData{Text: Seal("a message")}
		}
		if payloads = append(payloads, p); len(payloads) == perCommit {
			log.Append(events.Room(fmt.Sprintf("room-%d", i/perCommit%rooms)), Start+int64(i), "ann", payloads...)
			payloads = nil
		}
	}
	return log
}
