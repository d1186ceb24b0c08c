package commands

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// JobWebhookPath is where the queue's webhooks arrive; room, generation and code follow.
const JobWebhookPath = "/api/fal/webhook"

// JobWebhook makes the addresses at which the queue says that a job is over. Each names its room and generation, so that a job is found whose id was never
// heard, and a code that only this server can make, so that nobody else's jobs can report there. Safe for concurrent use.
type JobWebhook struct {
	base string
	key  []byte
}

// NewJobWebhook takes the address under which clients reach this server ("" where there is none: then no job has a webhook) and a secret of its own.
func NewJobWebhook(publicURL string, key []byte) *JobWebhook {
	return &JobWebhook{strings.TrimSuffix(publicURL, "/"), key}
}

// URL is the address for a generation's job; "" where the queue can't reach this server.
func (w *JobWebhook) URL(room, generation string) string {
	if w == nil || !strings.HasPrefix(w.base, "https://") {
		return ""
	}
	return w.base + JobWebhookPath + "/" + room + "/" + generation + "/" + w.code(room, generation)
}

// Check reports whether code is the one of the generation's address. It takes the same time whatever is wrong.
func (w *JobWebhook) Check(room, generation, code string) bool {
	return hmac.Equal([]byte(code), []byte(w.code(room, generation)))
}

func (w *JobWebhook) code(room, generation string) string {
	m := hmac.New(sha256.New, w.key)
	m.Write([]byte(room + "\x00" + generation)) // ids hold no NUL
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}
