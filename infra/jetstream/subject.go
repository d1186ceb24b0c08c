package jetstream

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/infinite-kanvas/kanvas/events"
)

const (
	storePrefix = "kanvas." // subjects of stored commits
	livePrefix  = "live."   // the same, republished after they are stored
)

var kinds = []events.Kind{events.KindRoom, events.KindUser, events.KindAsset, events.KindSpending}

// StreamName is the JetStream stream of a partition.
func StreamName(partition int) string { return "KANVAS_" + strconv.Itoa(partition) }

// subjectTail is what follows the prefix: "3.room.ID".
func subjectTail(partition int, s events.Stream) string {
	return strconv.Itoa(partition) + "." + string(s.Kind) + "." + s.ID
}

func subjectOf(partition int, s events.Stream) string { return storePrefix + subjectTail(partition, s) }

// ParseSubject is the stream and partition of a subject of a stored or republished commit.
func ParseSubject(subject string) (s events.Stream, partition int, ok bool) {
	rest, ok := strings.CutPrefix(subject, storePrefix)
	if !ok {
		if rest, ok = strings.CutPrefix(subject, livePrefix); !ok {
			return s, 0, false
		}
	}
	p, rest, ok := strings.Cut(rest, ".")
	if !ok {
		return s, 0, false
	}
	kind, id, ok := strings.Cut(rest, ".")
	if !ok || !events.ValidStreamID(id) {
		return s, 0, false
	}
	n, err := strconv.Atoi(p)
	return events.Stream{Kind: events.Kind(kind), ID: id}, n, err == nil && n >= 0
}

func checkStream(s events.Stream) error {
	if !events.ValidStreamID(s.ID) {
		return fmt.Errorf("jetstream: %q is not a stream id", s.ID)
	}
	for _, k := range kinds {
		if s.Kind == k {
			return nil
		}
	}
	return fmt.Errorf("jetstream: %q is not a kind of stream", s.Kind)
}

// Partition implements commands.Log: FNV-1a of "kind/id". It never changes, as it says where the stream's commits are.
func (s *Store) Partition(st events.Stream) int {
	h := fnv.New64a()
	_, _ = h.Write([]byte(st.Kind)) // a hash's Write never fails
	_, _ = h.Write([]byte{'/'})
	_, _ = h.Write([]byte(st.ID))
	return int(h.Sum64() % uint64(s.cfg.Partitions))
}
