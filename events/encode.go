package events

import (
	"fmt"
	"strconv"
)

// commitVersion is the version of the commit's own layout.
const commitVersion = 1

// maxRevision bounds revisions, so that every JSON reader takes them exactly.
const maxRevision = 1<<53 - 1

// Encode makes the stored form of c:
//
//	{"v":1,"first":N,"at":"2006-01-02T15:04:05.000Z","prev":"hex","events":[…],"done":[…],"op":{…},"sum":"hex"}
//
// without white space, done and op left out where empty. sum is the hex SHA-256 over prev (as hex text) and the bytes without the
// member sum. An event with a Payload is written from it, in the type's current version; one without from V and Data.
//
// On success it sets c.Sum and the V and Data of every event; each Data is a part of the returned bytes, which nobody may change
// from then on. On error c is as it was. Errors wrap ErrFormat (an invariant of Commit is broken, a payload isn't the type's), ErrUnknownType
// or ErrVersion. Not safe to call concurrently with the same c.
func Encode(c *Commit) ([]byte, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	b := make([]byte, 0, c.sizeHint())
	b = strconv.AppendUint(append(b, `{"v":1,"first":`...), c.First, 10)
	b = append(AppendTime(append(b, `,"at":"`...), c.At), `","prev":"`...)
	b = append(append(b, c.Prev...), `","events":[`...)
	var room [64][2]int
	spans := room[:0] // of each event's data in b; b may still move
	for i := range c.Events {
		if i > 0 {
			b = append(b, ',')
		}
		var start int
		var err error
		if b, start, err = appendEvent(b, &c.Events[i]); err != nil {
			return nil, fmt.Errorf("encode commit at revision %d, event %d: %w", c.First, i, err)
		}
		spans = append(spans, [2]int{start, len(b) - 1})
	}
	b = append(b, ']')
	b = appendDone(b, c.Done)
	if p := c.Part; p != nil {
		b = AppendString(append(b, `,"op":{"op":`...), p.Op)
		b = appendNumber(b, `"part":`, uint64(p.Part))
		b = appendNumber(b, `"of":`, uint64(p.Of))
		if p.Rest != nil {
			b = appendRest(b, p.Rest)
		}
		b = append(b, '}')
	}
	b = appendSum(b, c.Prev)
	for i, s := range spans {
		e := &c.Events[i]
		e.Data = b[s[0]:s[1]:s[1]]
		if e.Payload != nil {
			e.V = CurrentVersion(e.Type)
		}
	}
	c.Sum = string(b[len(b)-2-sumHexLen : len(b)-2])
	return b, nil
}

// validate checks the invariants that don't need a look into payloads and data.
func (c *Commit) validate() error {
	switch {
	case len(c.Events) == 0:
		return fmt.Errorf("%w: no events", ErrFormat)
	case c.First < 1 || c.First > maxRevision-uint64(len(c.Events)):
		return fmt.Errorf("%w: revision %d", ErrFormat, c.First)
	case c.At < 0 || c.At > maxAt:
		return fmt.Errorf("%w: time %d ms", ErrFormat, c.At)
	case (c.First == 1) != (c.Prev == ""):
		return fmt.Errorf("%w: revision %d with prev %.64q", ErrFormat, c.First, c.Prev)
	case c.Prev != "" && !isSum(c.Prev):
		return fmt.Errorf("%w: prev is no sum: %.64q", ErrFormat, c.Prev)
	}
	if p := c.Part; p != nil && (p.Op == "" || p.Part < 1 || p.Part > p.Of || p.Rest != nil && p.Part == p.Of) {
		return fmt.Errorf("%w: part %d of %d of operation %.64q", ErrFormat, p.Part, p.Of, p.Op)
	}
	for i := range c.Events {
		if err := c.Events[i].validate(); err != nil {
			return fmt.Errorf("event %d: %w", i, err)
		}
	}
	for i := range c.Done {
		if d := &c.Done[i]; d.First > maxRevision || d.Last > maxRevision {
			return fmt.Errorf("%w: done %d: revisions %d to %d", ErrFormat, i, d.First, d.Last)
		}
	}
	return nil
}

func (e *Event) validate() error {
	if e.ID == "" {
		return fmt.Errorf("%w: no id", ErrFormat)
	}
	if e.Payload == nil {
		return nil // its type is looked at where its data is
	}
	d := registry[e.Type]
	if d == nil {
		return fmt.Errorf("%w: %.64q", ErrUnknownType, e.Type)
	}
	if !d.is(e.Payload) {
		return fmt.Errorf("%w: payload of %s is %T", ErrFormat, e.Type, e.Payload)
	}
	return nil
}

func (c *Commit) sizeHint() int {
	n := 320
	for i := range c.Events {
		e := &c.Events[i]
		n += 160 + len(e.ID) + len(e.Type) + len(e.Actor) + len(e.Client)
		if e.Payload != nil {
			n += sizeHint(e.Payload)
		} else {
			n += len(e.Data)
		}
	}
	for i := range c.Done {
		d := &c.Done[i]
		n += 128 + len(d.User) + len(d.Client) + len(d.Key) + len(d.Hash) + 40*len(d.Dropped)
	}
	return n
}

// appendEvent appends one event; data is the offset of its data in the result, whose last byte closes the event.
func appendEvent(b []byte, e *Event) (_ []byte, data int, err error) {
	d := registry[e.Type]
	if d == nil {
		return nil, 0, fmt.Errorf("%w: %.64q", ErrUnknownType, e.Type)
	}
	v := d.version()
	if e.Payload == nil {
		v = e.V
	}
	b = AppendString(append(b, `{"id":`...), e.ID)
	b = append(append(b, `,"type":"`...), e.Type...)
	b = strconv.AppendInt(append(b, `","v":`...), int64(v), 10)
	b = appendMember(b, `"actor":`, e.Actor)
	if e.Client != "" {
		b = appendMember(b, `"client":`, e.Client)
	}
	if e.Seq != 0 {
		b = appendNumber(b, `"seq":`, e.Seq)
	}
	if e.Cause != "" {
		b = appendMember(b, `"cause":`, string(e.Cause))
	}
	if e.Step != 0 {
		b = appendNumber(b, `"step":`, e.Step)
	}
	if e.Cont {
		b = append(b, `,"cont":true`...)
	}
	b = append(b, `,"data":`...)
	data = len(b)
	if b, err = d.appendData(b, e); err != nil {
		return nil, 0, fmt.Errorf("%s: %w", e.Type, err)
	}
	return append(b, '}'), data, nil
}

// appendData appends e's data, from the payload where there is one. Data without a payload is decoded first: what can't be read
// back is not written.
func (d *definition) appendData(b []byte, e *Event) ([]byte, error) {
	if e.Payload != nil {
		b, err := d.append(b, e.Payload)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFormat, err)
		}
		return b, nil
	}
	start := len(b)
	b, err := appendRaw(b, e.Data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if _, err := d.payload(e.V, b[start:]); err != nil {
		return nil, err
	}
	return b, nil
}

func appendDone(b []byte, done []Done) []byte {
	if len(done) == 0 {
		return b
	}
	b = append(b, `,"done":[`...)
	for i := range done {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendOneDone(b, &done[i])
	}
	return append(b, ']')
}

func appendRest(b []byte, r *Rest) []byte {
	b = AppendString(append(b, `,"rest":{"cause":`...), string(r.Cause))
	if r.Revision != 0 {
		b = appendNumber(b, `"revision":`, r.Revision)
	}
	return append(appendOneDone(append(b, `,"done":`...), &r.Done), '}')
}

func appendOneDone(b []byte, d *Done) []byte {
	b = AppendString(append(b, `{"user":`...), d.User)
	if d.Client != "" {
		b = appendMember(b, `"client":`, d.Client)
	}
	if d.Seq != 0 {
		b = appendNumber(b, `"seq":`, d.Seq)
	}
	if d.Key != "" {
		b = appendMember(b, `"key":`, d.Key)
	}
	if d.Hash != "" {
		b = appendMember(b, `"hash":`, d.Hash)
	}
	b = appendNumber(b, `"first":`, d.First)
	b = appendNumber(b, `"last":`, d.Last)
	if len(d.Dropped) > 0 {
		b = appendStrings(append(b, `,"dropped":`...), d.Dropped)
	}
	return append(b, '}')
}
