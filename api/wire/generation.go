package wire

import (
	"encoding/json"

	"github.com/infinite-kanvas/kanvas/events"
)

// appendGenerationData appends what the room may see of a generation's events: the prompt opened, of the rest of the input nothing, and no address of
// the queue; false for payloads of other kinds.
func (p *people) appendGenerationData(dst []byte, actor string, payload any) ([]byte, bool) {
	switch d := payload.(type) {
	case *events.GenerationRequestedData:
		dst = appendString(append(dst, '{'), "id", d.ID)
		dst = appendString(append(dst, ','), "model", d.Model)
		dst = p.appendPrompt(append(dst, ','), actor, d.Request)
		dst = appendString(append(dst, ','), "result", d.Result)
		dst = appendString(append(dst, ','), "element_id", d.Element)
		dst = appendUint(append(dst, ','), "estimate", uint64(max(0, d.Estimate)))
		if d.RetryOf != "" {
			dst = appendString(append(dst, ','), "retry_of", d.RetryOf)
		}
	case *events.GenerationSubmittedData:
		dst = appendString(append(dst, '{'), "id", d.ID)
	case *events.GenerationFailedData:
		return appendFailed(dst, d), true
	default:
		return dst, false
	}
	return append(dst, '}'), true
}

// appendFailed leaves out what the other side said: it is sealed for the requester, who asks for it.
func appendFailed(dst []byte, d *events.GenerationFailedData) []byte {
	shown := *d
	shown.Said = ""
	return appendPlain(dst, &shown)
}

func (p *people) appendPrompt(dst []byte, person string, request events.Sealed) []byte {
	text, ok := p.users.Open(p.ctx, person, request)
	var asked struct {
		Prompt string `json:"prompt"`
	}
	if !ok || json.Unmarshal([]byte(text), &asked) != nil {
		return append(appendString(dst, "prompt", ""), `,"forgotten":true`...)
	}
	return appendString(dst, "prompt", asked.Prompt)
}
