package commands

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Bounds of one room's actor.
const (
	MaxQueued      = 8192     // requests of a room that are not answered yet
	MaxQueuedBytes = 64 << 20 // their commands, about
	MaxCommitBytes = 8 << 20  // of one encoded commit; Log.MaxPayload where that is less

	maxIncomingBytes = 4 << 20 // records of other nodes waiting for the actor
	ringCommits      = 1024    // recent commits kept in memory
	ringBytes        = 1 << 20 // of their payloads
	maxCarried       = 1024    // answers of commands that changed nothing, waiting for the room's next commit
	maxTries         = 8       // appends of one batch against commits of other nodes
	syncRetry        = time.Second
	yieldFrom        = 8 // requests in one turn, from which on the actor lets others run before it takes the next ones
)

// Config is what a Dispatcher needs. The zero value of a duration or number means its default.
type Config struct {
	Log       Log       // required
	Objects   Objects   // holds snapshots; nil: rooms load from the log alone
	Snapshots Snapshots // nil: rooms load from the log alone
	Clock     Clock     // nil: the system's clock
	Logger    *slog.Logger
	Metrics   prometheus.Registerer // nil: not registered

	IdleAfter     time.Duration // a room without watch or request is unloaded after this; 60 s
	MaxRooms      int           // loaded at once; 4,096. Beyond it idle rooms go early, and where none is idle loads are refused
	LoadTimeout   time.Duration // of one room; 30 s
	SnapshotWait  time.Duration // for one snapshot, of LoadTimeout; 10 s. The log has everything, and a store that is away must not hold up a room
	LoadsAtOnce   int           // 16
	AppendTimeout time.Duration // of one append; 5 s
	UnknownFor    time.Duration // how long an unknown outcome is looked into before it is told to the clients; 15 s
	FoldsAtOnce   int           // views of the past made at once; 2
}

func (c Config) withDefaults() Config {
	if c.Clock == nil {
		c.Clock = func() int64 { return time.Now().UnixMilli() }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	setDefault(&c.IdleAfter, 60*time.Second)
	setDefault(&c.LoadTimeout, 30*time.Second)
	setDefault(&c.SnapshotWait, 10*time.Second)
	setDefault(&c.AppendTimeout, 5*time.Second)
	setDefault(&c.UnknownFor, 15*time.Second)
	setDefault(&c.MaxRooms, 4096)
	setDefault(&c.LoadsAtOnce, 16)
	setDefault(&c.FoldsAtOnce, 2)
	return c
}

func setDefault[T ~int | ~int64](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}
