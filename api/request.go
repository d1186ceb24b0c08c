package api

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/domain"
)

// request is what is known about a request beside the request itself. Owned by its goroutine.
type request struct {
	id     string
	client netip.Addr
	user   string // "" for anonymous
	ticket string // room of the ticket that named the user, "" where it was none
	who    identity
	room   string      // for the log
	code   domain.Code // of a refusal
	hungUp bool        // the client went away before its answer
}

const requestKey = "kanvas.request"

func requestOf(c echo.Context) *request {
	if q, ok := c.Get(requestKey).(*request); ok {
		return q
	}
	q := &request{}
	c.Set(requestKey, q)
	return q
}

// maxRequestID is the longest X-Request-Id that is taken over, in bytes.
const maxRequestID = 64

// requestID takes over what a proxy in front called the request, where it is harmless to log, or makes an id.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	if len(id) == 0 || len(id) > maxRequestID || strings.ContainsFunc(id, notInID) {
		return newID()
	}
	return id
}

func notInID(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.'
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// routeOf is the pattern that matched, the bounded label of logs and metrics.
func routeOf(c echo.Context) string {
	if p := c.Path(); p != "" {
		return p
	}
	return "unmatched"
}

// secretParams are query parameters whose values are never logged.
var secretParams = []string{"token", "ticket", "cap", "access_token", "code", "key", "signature", "sig"}

// redactedPath is the address's path without the code of an invite.
func redactedPath(u *url.URL) string {
	const invites = "/v1/invites/"
	if path := u.EscapedPath(); !strings.HasPrefix(u.Path, invites) {
		return path
	}
	return invites + "REDACTED"
}

// RedactURL is the address with the values of secret parameters, and the codes of invites, replaced, for logs.
func RedactURL(u *url.URL) string {
	if u.RawQuery == "" {
		return redactedPath(u)
	}
	parts := strings.Split(u.RawQuery, "&")
	for i, part := range parts {
		name, _, has := strings.Cut(part, "=")
		plain, err := url.QueryUnescape(name)
		if has && (err != nil || isSecret(plain)) {
			parts[i] = name + "=REDACTED"
		}
	}
	return redactedPath(u) + "?" + strings.Join(parts, "&")
}

func isSecret(name string) bool {
	for _, s := range secretParams {
		if strings.EqualFold(name, s) {
			return true
		}
	}
	return false
}
