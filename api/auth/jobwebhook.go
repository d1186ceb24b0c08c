package auth

import (
	"crypto/hmac"
	"encoding/base64"
	"strings"
)

// JobWebhookPath is where webhooks about the jobs of generations arrive; room and generation follow, and the code as a parameter.
const JobWebhookPath = "/api/fal/webhook"

// JobWebhooks makes the addresses at which fal.ai says that a job is over. Each names its room and generation, so that a job is found whose id was never
// heard, and holds a code that only this server can make, so that nobody else's jobs can report there. Safe for concurrent use.
type JobWebhooks struct {
	key  []byte
	base string
}

// NewJobWebhooks derives its key from secret (at least MinSecretBytes). publicURL is where clients reach this server; without one of https jobs have no
// webhook.
func NewJobWebhooks(secret []byte, publicURL string) (*JobWebhooks, error) {
	key, err := derive(secret, "kanvas/job-webhook/v1")
	if err != nil {
		return nil, err
	}
	return &JobWebhooks{key, strings.TrimSuffix(publicURL, "/")}, nil
}

// URL is the address for a generation's job; "" where fal.ai can't reach this server.
func (w *JobWebhooks) URL(room, generation string) string {
	if !strings.HasPrefix(w.base, "https://") {
		return ""
	}
	return w.base + JobWebhookPath + "/" + room + "/" + generation + "?code=" + w.code(room, generation)
}

// Verify reports whether code is the one of the generation's address.
func (w *JobWebhooks) Verify(room, generation, code string) bool {
	return hmac.Equal([]byte(code), []byte(w.code(room, generation)))
}

func (w *JobWebhooks) code(room, generation string) string {
	return base64.RawURLEncoding.EncodeToString(sum(w.key, room+"\n"+generation)) // ids hold no line ends
}
