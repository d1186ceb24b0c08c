package realtime

import "time"

// Limits of the realtime layer. Start from DefaultLimits; every zero field is taken from there.
type Limits struct {
	HelloTimeout time.Duration // from the upgrade to the first message
	CloseLinger  time.Duration // for a closing socket to read what waits and to answer the close
	WriteTimeout time.Duration // of one write; the socket is cut after it
	MaxSession   time.Duration // a socket has to authenticate anew after this long
	RoomLinger   time.Duration // a room without sockets stays here this long, so that reconnects resume from memory
	Coalesce     time.Duration // window in which edits of old clients are one commit
	FlushTick    time.Duration // least time between two writes to the sockets of a crowded room
	PositionTick time.Duration // least time between two position frames of a room

	HandshakeBytes int // of one message before authentication
	EditorFrame    int // bytes of one message of an editor or owner
	OtherFrame     int // bytes of one message of everybody else
	FrameMessages  int // messages in one frame that is an array
	QueueBytes     int // what waits for one socket
	LargeBytes     int // what waits of frames that are larger than QueueBytes alone; they are shared by all sockets of the room
	RingBytes      int // recent commits of a room kept for resuming
	Mailbox        int // messages waiting for a room's goroutine; past it the room closes its sockets with 4503
	InFlight       int // commands of one socket that are not answered yet; past it the socket is not read
	InFlightBytes  int // and their bytes

	CommandRate  float64 // durable commands a second and socket
	CommandBurst int
	UpdateRate   float64 // edits of an old client a second that are shown at once; what is over is merged
	FrameRate    int     // frames a second and socket; more for FrameSeconds in a row closes it
	FrameSeconds int
	BadFrames    int  // bad frames in a row; one more closes the socket
	RatesOff     bool // turns off CommandRate and FrameRate, nothing else

	MaxSockets int // of this process
	PerAddress int // sockets of one address
	PerUser    int // sockets of one user
	Crowd      int // sockets from which on a room gathers writes for FlushTick
}

// DefaultLimits are those of the contract.
func DefaultLimits() Limits {
	return Limits{
		HelloTimeout: 5 * time.Second, CloseLinger: 5 * time.Second, WriteTimeout: 30 * time.Second, MaxSession: 12 * time.Hour,
		RoomLinger: 30 * time.Second, Coalesce: 50 * time.Millisecond, FlushTick: 10 * time.Millisecond, PositionTick: 33 * time.Millisecond,
		HandshakeBytes: 64 << 10, EditorFrame: 12 << 20, OtherFrame: 64 << 10, FrameMessages: 2_000,
		QueueBytes: 256 << 10, LargeBytes: 16 << 20, RingBytes: 1 << 20, Mailbox: 16_384, InFlight: 256, InFlightBytes: 4 << 20,
		CommandRate: 200, CommandBurst: 2_000, UpdateRate: 240, FrameRate: 5_000, FrameSeconds: 5, BadFrames: 100,
		MaxSockets: 20_000, PerAddress: 2_000, PerUser: 100, Crowd: 16,
	}
}

// filled returns l with the zero fields of numbers and times taken from the defaults.
func (l Limits) filled() Limits {
	d := DefaultLimits()
	or(&l.HelloTimeout, d.HelloTimeout)
	or(&l.CloseLinger, d.CloseLinger)
	or(&l.WriteTimeout, d.WriteTimeout)
	or(&l.MaxSession, d.MaxSession)
	or(&l.RoomLinger, d.RoomLinger)
	or(&l.Coalesce, d.Coalesce)
	or(&l.FlushTick, d.FlushTick)
	or(&l.PositionTick, d.PositionTick)
	or(&l.HandshakeBytes, d.HandshakeBytes)
	or(&l.EditorFrame, d.EditorFrame)
	or(&l.OtherFrame, d.OtherFrame)
	or(&l.FrameMessages, d.FrameMessages)
	or(&l.QueueBytes, d.QueueBytes)
	or(&l.LargeBytes, d.LargeBytes)
	or(&l.RingBytes, d.RingBytes)
	or(&l.Mailbox, d.Mailbox)
	or(&l.InFlight, d.InFlight)
	or(&l.InFlightBytes, d.InFlightBytes)
	or(&l.CommandRate, d.CommandRate)
	or(&l.CommandBurst, d.CommandBurst)
	or(&l.UpdateRate, d.UpdateRate)
	or(&l.FrameRate, d.FrameRate)
	or(&l.FrameSeconds, d.FrameSeconds)
	or(&l.BadFrames, d.BadFrames)
	or(&l.MaxSockets, d.MaxSockets)
	or(&l.PerAddress, d.PerAddress)
	or(&l.PerUser, d.PerUser)
	or(&l.Crowd, d.Crowd)
	return l
}

func or[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
