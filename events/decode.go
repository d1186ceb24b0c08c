package events

import "fmt"

// Decode reads what Encode wrote: it verifies the sum, the version and the structure, and decodes every Payload to its newest version.
// It never panics, whatever payload is. Errors wrap ErrSum, ErrVersion, ErrUnknownType or ErrFormat; there is no commit then.
//
// Each Data, and raw JSON within payloads (elements, values of Members), are parts of payload, not copies: payload must never change
// afterwards, and stays in memory as long as any of them; copy what is to be kept for long. Strings are copies. Seq is left 0.
func Decode(payload []byte) (*Commit, error) { return decode(payload, true) }

// DecodeRaw is Decode without the payloads: every Payload is nil, and unknown event types and versions are no error.
func DecodeRaw(payload []byte) (*Commit, error) { return decode(payload, false) }

// DecodeHeader reads where a commit stands, without looking into its events and WITHOUT verifying the sum: for scans and the search
// for gaps. n is the number of events, at Unix milliseconds. Errors wrap ErrVersion or ErrFormat.
func DecodeHeader(payload []byte) (first, last uint64, at int64, prev, sum string, n int, err error) {
	var h header
	if err = h.read(payload); err != nil {
		return 0, 0, 0, "", "", 0, err
	}
	n, ok := h.s.skipObjects()
	if !ok || n == 0 || h.first > maxRevision-uint64(n) {
		return 0, 0, 0, "", "", 0, h.malformed("events")
	}
	return h.first, h.first + uint64(n) - 1, h.at, string(h.prev), string(h.sum), n, nil
}

// DecodeDone reads which commands a commit completes, without looking into its events. The sum is verified. Errors are Decode's.
func DecodeDone(payload []byte) (first, last uint64, done []Done, err error) {
	var h header
	if err = h.readVerified(payload); err != nil {
		return 0, 0, nil, err
	}
	n, ok := h.s.skipObjects()
	if !ok || n == 0 || h.first > maxRevision-uint64(n) {
		return 0, 0, nil, h.malformed("events")
	}
	if done, ok = h.s.doneList(); !ok {
		return 0, 0, nil, h.malformed("done")
	}
	return h.first, h.first + uint64(n) - 1, done, nil
}

// VerifySum verifies the sum of a commit without decoding its events. Errors wrap ErrSum, ErrVersion or ErrFormat.
func VerifySum(payload []byte) error {
	var h header
	return h.readVerified(payload)
}

func decode(payload []byte, payloads bool) (*Commit, error) {
	var h header
	if err := h.readVerified(payload); err != nil {
		return nil, err
	}
	c := &Commit{First: h.first, At: h.at, Prev: string(h.prev), Sum: string(h.sum)}
	var err error
	if c.Events, err = h.events(payloads); err != nil {
		return nil, err
	}
	var ok bool
	if c.Done, ok = h.s.doneList(); !ok {
		return nil, h.malformed("done")
	}
	if c.Part, ok = h.s.part(); !ok || h.s.i != len(h.s.b) {
		return nil, h.malformed("op")
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	return c, nil
}

// header is a commit read up to its events; s stands at their array and ends before the sum.
type header struct {
	s         scanner
	first     uint64
	at        int64
	prev, sum []byte
}

func (h *header) malformed(what string) error {
	return fmt.Errorf("%w: %s of commit at revision %d", ErrFormat, what, h.first)
}

func (h *header) readVerified(payload []byte) error {
	if err := h.read(payload); err != nil {
		return err
	}
	if !checkSum(h.prev, h.s.b, h.sum) {
		return fmt.Errorf("%w: commit at revision %d", ErrSum, h.first)
	}
	return nil
}

func (h *header) read(payload []byte) error {
	s := &h.s
	s.b = payload
	v, ok := uint64(0), s.has(`{"v":`)
	if ok {
		v, ok = s.number()
	}
	if !ok {
		return fmt.Errorf("%w: no version", ErrFormat)
	}
	if v != commitVersion {
		return fmt.Errorf("%w: commit version %d", ErrVersion, v)
	}
	if s.b, h.sum, ok = splitTail(payload); !ok {
		return fmt.Errorf("%w: no sum at the end", ErrFormat)
	}
	if !s.has(`,"first":`) {
		return h.malformed("first")
	}
	if h.first, ok = s.number(); !ok || h.first < 1 || h.first > maxRevision || !s.has(`,"at":"`) || len(s.b)-s.i < len(timeLayout) {
		return h.malformed("first")
	}
	if h.at, ok = parseTime(s.b[s.i : s.i+len(timeLayout)]); !ok {
		return h.malformed("at")
	}
	s.i += len(timeLayout)
	if !s.has(`","prev":`) {
		return h.malformed("prev")
	}
	if h.prev, _, ok = s.text(); !ok || len(h.prev) > 0 && !isSum(h.prev) || (h.first == 1) != (len(h.prev) == 0) || !s.has(`,"events":`) {
		return h.malformed("prev")
	}
	return nil
}

func (h *header) events(payloads bool) ([]Event, error) {
	s := &h.s
	if !s.has("[") {
		return nil, h.malformed("events")
	}
	list := make([]Event, 0, 1)
	var before Event
	for {
		list = append(list, Event{})
		e := &list[len(list)-1]
		if err := s.event(e, &before, payloads); err != nil {
			return nil, fmt.Errorf("event %d of commit at revision %d: %w", len(list)-1, h.first, err)
		}
		if s.has("]") {
			return list, nil
		}
		if !s.has(",") {
			return nil, h.malformed("events")
		}
		before = *e
	}
}

// event reads one event. Strings that are those of the event before are shared with it.
func (s *scanner) event(e, before *Event, payloads bool) error {
	d, ok := s.eventHead(e, before)
	if !ok {
		return fmt.Errorf("%w: at byte %d", ErrFormat, max(s.i, 0))
	}
	if payloads && d == nil {
		return fmt.Errorf("%w: %.64q", ErrUnknownType, e.Type)
	}
	if payloads && d.scan != nil && e.V == d.version() {
		start := s.i
		if e.Payload, ok = d.scan(s); ok && s.has("}") {
			e.Data = s.b[start : s.i-1 : s.i-1]
			return nil
		}
		s.i = start
	}
	if e.Data, ok = s.value(); !ok || !s.has("}") {
		return fmt.Errorf("%w: data of %s", ErrFormat, e.Type)
	}
	if !payloads {
		return nil
	}
	var err error
	e.Payload, err = d.payload(e.V, e.Data)
	return err
}

// eventHead reads an event up to its data. The definition is nil for unknown types.
func (s *scanner) eventHead(e, before *Event) (d *definition, ok bool) {
	if !s.has(`{"id":`) {
		return nil, false
	}
	if e.ID, ok = s.string(); !ok || e.ID == "" || !s.has(`,"type":`) {
		return nil, false
	}
	typ, escaped, ok := s.text()
	if !ok || escaped || !s.has(`,"v":`) {
		return nil, false
	}
	if d = registry[Type(typ)]; d != nil {
		e.Type = d.typ
	} else {
		e.Type = Type(typ)
	}
	if e.V, ok = s.small(); !ok || !s.has(`,"actor":`) {
		return nil, false
	}
	if e.Actor, ok = s.same(before.Actor); !ok {
		return nil, false
	}
	return d, s.eventOptions(e, before) && s.has(`,"data":`)
}

// eventOptions reads the members of an event that may be missing.
func (s *scanner) eventOptions(e, before *Event) (ok bool) {
	if s.has(`,"client":`) {
		if e.Client, ok = s.same(before.Client); !ok {
			return false
		}
	}
	if s.has(`,"seq":`) {
		if e.Seq, ok = s.number(); !ok {
			return false
		}
	}
	if s.has(`,"cause":`) {
		cause, ok := s.same(string(before.Cause))
		if !ok {
			return false
		}
		e.Cause = Cause(cause)
	}
	if s.has(`,"step":`) {
		if e.Step, ok = s.number(); !ok {
			return false
		}
	}
	e.Cont = s.has(`,"cont":true`)
	return true
}

// doneList reads the member done, if it is there.
func (s *scanner) doneList() (list []Done, ok bool) {
	if !s.has(`,"done":[`) {
		return nil, true
	}
	var before Done
	for {
		var d Done
		if !s.done(&d, &before) {
			return nil, false
		}
		list = append(list, d)
		before = d
		if s.has("]") {
			return list, true
		}
		if !s.has(",") {
			return nil, false
		}
	}
}

// done reads one Done. Strings that are those of the one before are shared with it.
func (s *scanner) done(d, before *Done) (ok bool) {
	if !s.has(`{"user":`) {
		return false
	}
	if d.User, ok = s.same(before.User); !ok {
		return false
	}
	if s.has(`,"client":`) {
		if d.Client, ok = s.same(before.Client); !ok {
			return false
		}
	}
	if s.has(`,"seq":`) {
		if d.Seq, ok = s.number(); !ok {
			return false
		}
	}
	if s.has(`,"key":`) {
		if d.Key, ok = s.string(); !ok {
			return false
		}
	}
	if s.has(`,"hash":`) {
		if d.Hash, ok = s.string(); !ok {
			return false
		}
	}
	if !s.has(`,"first":`) {
		return false
	}
	if d.First, ok = s.number(); !ok || !s.has(`,"last":`) {
		return false
	}
	if d.Last, ok = s.number(); !ok {
		return false
	}
	if s.has(`,"dropped":`) {
		if d.Dropped, ok = s.strings(); !ok {
			return false
		}
	}
	return s.has("}")
}

// part reads the member op, if it is there.
func (s *scanner) part() (p *Part, ok bool) {
	if !s.has(`,"op":{"op":`) {
		return nil, true
	}
	p = new(Part)
	if p.Op, ok = s.string(); !ok || !s.has(`,"part":`) {
		return nil, false
	}
	if p.Part, ok = s.small(); !ok || !s.has(`,"of":`) {
		return nil, false
	}
	if p.Of, ok = s.small(); !ok {
		return nil, false
	}
	if s.has(`,"rest":{"cause":`) {
		if p.Rest, ok = s.rest(); !ok {
			return nil, false
		}
	}
	return p, s.has("}")
}

func (s *scanner) rest() (r *Rest, ok bool) {
	r = new(Rest)
	cause, ok := s.string()
	if !ok {
		return nil, false
	}
	r.Cause = Cause(cause)
	if s.has(`,"revision":`) {
		if r.Revision, ok = s.number(); !ok {
			return nil, false
		}
	}
	if !s.has(`,"done":`) || !s.done(&r.Done, &Done{}) {
		return nil, false
	}
	return r, s.has("}")
}
