package events

import "fmt"

// Kind is what a stream is about.
type Kind string

// The kinds of streams.
const (
	KindRoom  Kind = "room"
	KindUser  Kind = "user"
	KindAsset Kind = "asset"

	KindSpending Kind = "spending"
)

// Stream names one sequence of commits. IDs are 1–128 of `A-Z a-z 0-9 _ - :`; see ValidStreamID.
type Stream struct {
	Kind Kind
	ID   string
}

// Room, User, Asset and Spending name the stream of one room, user, asset or of what a person's calls cost in a month.
func Room(id string) Stream  { return Stream{KindRoom, id} }
func User(id string) Stream  { return Stream{KindUser, id} }
func Asset(id string) Stream { return Stream{KindAsset, id} }

func Spending(id string) Stream { return Stream{KindSpending, id} }

func (s Stream) String() string { return fmt.Sprintf("%s/%s", s.Kind, s.ID) }

// MaxStreamID is the longest stream id, in bytes.
const MaxStreamID = 128

// ValidStreamID reports whether id may name a stream: it must be safe as one token of a NATS subject and as a path element.
func ValidStreamID(id string) bool {
	if len(id) == 0 || len(id) > MaxStreamID {
		return false
	}
	for i := 0; i < len(id); i++ {
		switch c := id[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-', c == ':':
		default:
			return false
		}
	}
	return true
}

// Record is one commit as the log stores it.
type Record struct {
	Stream    Stream
	Partition int    // 0-based
	Seq       uint64 // position in its partition
	Payload   []byte // a commit as Encode made it; decode with Decode. Never modified.
}
