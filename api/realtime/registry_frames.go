package realtime

import (
	"strconv"

	"github.com/infinite-kanvas/kanvas/events"
)

// Frames of the registry party, whole.

func appendListed(b []byte, r *ListedRoom) []byte {
	b = events.AppendString(append(b, `{"id":`...), r.ID)
	b = events.AppendString(append(b, `,"name":`...), r.Name)
	b = strconv.AppendBool(append(b, `,"isPublic":`...), r.IsPublic)
	b = strconv.AppendInt(append(b, `,"createdAt":`...), r.CreatedAt, 10)
	b = strconv.AppendInt(append(b, `,"lastActivity":`...), r.LastActivity, 10)
	b = strconv.AppendInt(append(b, `,"userCount":`...), int64(r.UserCount), 10)
	if r.CreatorName != "" {
		b = events.AppendString(append(b, `,"creatorName":`...), r.CreatorName)
	}
	return append(b, '}')
}

func roomsFrame(list []ListedRoom) []byte {
	b := append(newFrame(64+200*len(list)), `{"type":"rooms","rooms":[`...)
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendListed(b, &list[i])
	}
	return finishFrame(append(b, "]}"...))
}

func roomAdded(r *ListedRoom) []byte {
	return finishFrame(append(appendListed(append(newFrame(256), `{"type":"room-added","room":`...), r), '}'))
}

func roomRemoved(id string) []byte {
	b := events.AppendString(append(newFrame(96), `{"type":"room-removed","roomId":`...), id)
	return finishFrame(append(b, '}'))
}

// roomUpdated tells how many are in the room and when it was active last; renamed: its name too.
func roomUpdated(r *ListedRoom, renamed bool) []byte {
	b := events.AppendString(append(newFrame(160), `{"type":"room-updated","roomId":`...), r.ID)
	b = strconv.AppendInt(append(b, `,"updates":{"userCount":`...), int64(r.UserCount), 10)
	b = strconv.AppendInt(append(b, `,"lastActivity":`...), r.LastActivity, 10)
	if renamed {
		b = events.AppendString(append(b, `,"name":`...), r.Name)
	}
	return finishFrame(append(b, "}}"...))
}
