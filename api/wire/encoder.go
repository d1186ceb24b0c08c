package wire

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/events"
)

// Encoder knows where names and sealed text come from. Its methods never fail: what can't be opened is shown as forgotten.
// ctx bounds the look-ups of people who are not cached.
type Encoder struct {
	Users commands.Users
}

// people remembers the profiles seen in one call.
type people struct {
	ctx   context.Context
	users commands.Users
	known map[string]commands.Profile
	last  commands.Profile
}

func (e Encoder) people(ctx context.Context) *people { return &people{ctx: ctx, users: e.Users} }

func (p *people) profile(id string) commands.Profile {
	if id == p.last.ID && id != "" {
		return p.last
	}
	who, ok := p.known[id]
	if !ok {
		who = p.users.Profile(p.ctx, id)
		who.ID = id
		if p.known == nil {
			p.known = make(map[string]commands.Profile, 4)
		}
		p.known[id] = who
	}
	p.last = who
	return who
}

// appendOpened appends `"name":"text"`, and `,"forgotten":true` where the person's key is gone.
func (p *people) appendOpened(dst []byte, name, person string, sealed events.Sealed) []byte {
	text, ok := "", true
	if sealed != "" {
		text, ok = p.users.Open(p.ctx, person, sealed)
	}
	if !ok {
		text = ""
	}
	dst = appendString(dst, name, text)
	if !ok {
		dst = append(dst, `,"forgotten":true`...)
	}
	return dst
}

// openedName returns a name, that of all deleted people where it is forgotten.
func (p *people) openedName(person string, sealed events.Sealed) string {
	if sealed == "" {
		return ""
	}
	if text, ok := p.users.Open(p.ctx, person, sealed); ok {
		return text
	}
	return commands.DeletedName
}

// appendString appends `"name":"value"`. name needs no escapes.
func appendString(dst []byte, name, value string) []byte {
	dst = append(append(append(dst, '"'), name...), '"', ':')
	return events.AppendString(dst, value)
}

// appendTime appends `"name":"2006-01-02T15:04:05.000Z"` from Unix milliseconds.
func appendTime(dst []byte, name string, ms int64) []byte {
	dst = append(append(append(dst, '"'), name...), '"', ':', '"')
	return append(events.AppendTime(dst, ms), '"')
}

// appendFloat appends f as encoding/json does for the numbers that the strict parser lets in.
func appendFloat(dst []byte, f float64) []byte {
	b, err := json.Marshal(f)
	if err != nil {
		return append(dst, '0') // NaN and infinities can't get into events
	}
	return append(dst, b...)
}

func appendUint(dst []byte, name string, n uint64) []byte {
	dst = append(append(append(dst, '"'), name...), '"', ':')
	return strconv.AppendUint(dst, n, 10)
}
