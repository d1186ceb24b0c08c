package clerk

import (
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	svix "github.com/svix/svix-webhooks/go"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// Webhook reads what Clerk tells, signed by Svix.
type Webhook struct{ svix *svix.Webhook }

// minWebhookKey is the fewest bytes of a signing key that make sense.
const minWebhookKey = 16

// NewWebhook takes the endpoint's signing secret, "whsec_…".
func NewWebhook(secret string) (*Webhook, error) {
	w, err := svix.NewWebhook(secret)
	if err != nil || !strings.HasPrefix(secret, "whsec_") || len(secret) < len("whsec_")+minWebhookKey*4/3 {
		return nil, errors.New("clerk: the webhook's secret is not one of Svix, such as whsec_…")
	}
	return &Webhook{w}, nil
}

var errSignature = domain.Errorf(domain.CodeUnauthenticated, "the signature is not Clerk's, or it is older than five minutes")

// Read verifies a message and returns what it tells; ok is false for news that are not about a person. Errors are *domain.Error: CodeUnauthenticated
// where the signature is not good, CodeBadRequest where a signed message can't be read.
func (w *Webhook) Read(header http.Header, body []byte) (c commands.DirectoryChange, ok bool, err error) {
	id, err := w.verify(header, body)
	if err != nil {
		return c, false, err
	}
	var m struct {
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &m); err != nil || m.Type == "" {
		return c, false, domain.Errorf(domain.CodeBadRequest, "the message has no type")
	}
	switch m.Type {
	case "user.created", "user.updated", "user.deleted":
	default:
		return c, false, nil
	}
	var u user
	if err := json.Unmarshal(m.Data, &u); err != nil || !events.ValidStreamID(u.ID) {
		return c, false, domain.Errorf(domain.CodeBadRequest, "%s: data is not a user", m.Type)
	}
	c = commands.DirectoryChange{User: u.directory(), Deleted: m.Type == "user.deleted", Delivery: id}
	if !c.Deleted && c.User.AsOf <= 0 {
		return c, false, domain.Errorf(domain.CodeBadRequest, "%s: the user has no updated_at", m.Type)
	}
	return c, true, nil
}

var (
	messageID  = regexp.MustCompile(`^[A-Za-z0-9_\-.]{1,128}$`)
	signatures = regexp.MustCompile(`^v[0-9]+[a-z]?,[A-Za-z0-9+/]+={0,2}( v[0-9]+[a-z]?,[A-Za-z0-9+/]+={0,2}){0,7}$`)
)

// verify returns the message's id. The library takes more forms of a header than there are ("+17…" for a time, further parts of a signature); here
// each has one.
func (w *Webhook) verify(header http.Header, body []byte) (id string, err error) {
	one := http.Header{}
	for _, name := range []string{"svix-id", "svix-timestamp", "svix-signature"} {
		values := header.Values(name)
		if len(values) != 1 {
			return "", domain.Errorf(domain.CodeUnauthenticated, "%s: one is expected", name)
		}
		one.Set(name, values[0])
	}
	at, err := strconv.ParseInt(one.Get("svix-timestamp"), 10, 64)
	if err != nil || strconv.FormatInt(at, 10) != one.Get("svix-timestamp") || !messageID.MatchString(one.Get("svix-id")) || !signatures.MatchString(one.Get("svix-signature")) {
		return "", errSignature
	}
	if w.svix.Verify(body, one) != nil {
		return "", errSignature
	}
	return one.Get("svix-id"), nil
}
