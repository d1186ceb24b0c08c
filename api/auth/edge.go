package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Headers between the server and the Worker in front of it.
const (
	proofHeader = "Kanvas-Edge"          // that the request is the Worker's
	offerHeader = "Kanvas-Accept-Object" // that it can add the bytes of an object
	// ObjectHeader names the object whose bytes the Worker is to add to an answer.
	ObjectHeader = "Kanvas-Object"
)

// MinEdgeSecret is the shortest secret that server and Worker may share, in bytes.
const MinEdgeSecret = 32

// Edge knows the Worker in front of this server by the secret that both hold: what it says of clients is believed, and it serves pictures by
// addresses signed here. A nil Edge knows nobody. Methods may be called concurrently.
type Edge struct {
	proof    string
	pictures []byte
}

// NewEdge derives its keys from the shared secret; an empty one gives a nil Edge.
func NewEdge(secret string) (*Edge, error) {
	if secret == "" {
		return nil, nil
	}
	if len(secret) < MinEdgeSecret {
		return nil, fmt.Errorf("auth: the secret shared with the Worker has %d bytes, at least %d are needed", len(secret), MinEdgeSecret)
	}
	return &Edge{
		proof:    encode(sum(sum([]byte(secret), "kanvas/edge/v1"), "proof")),
		pictures: sum([]byte(secret), "kanvas/picture/v1"),
	}, nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// Sent reports whether the Worker sent the request.
func (e *Edge) Sent(r *http.Request) bool {
	given := r.Header.Get(proofHeader)
	if e == nil || given == "" {
		return false
	}
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(e.proof))
	return hmac.Equal(a[:], b[:])
}

// AddsObject reports whether the request is the Worker's, and it can add the bytes of an object itself.
func (e *Edge) AddsObject(r *http.Request) bool {
	return r.Header.Get(offerHeader) != "" && e.Sent(r)
}

// Client is the address of who asks: what the Worker says, for a request of its, and what the proxies say for others.
func (e *Edge) Client(r *http.Request, p Proxies) netip.Addr {
	if e.Sent(r) {
		// The Worker puts one address there, that of Cloudflare's CF-Connecting-IP; proxies behind it append theirs.
		first, _, _ := strings.Cut(r.Header.Get("X-Forwarded-For"), ",")
		if client, ok := parseHop(first); ok {
			return client
		}
	}
	return p.Client(r)
}

// PictureURL is the address under base (that of the Worker) of an object of the asset, good until expires: as long as anybody may see the asset.
func (e *Edge) PictureURL(base, asset, key string, expires time.Time) string {
	elements := strings.Split(key, "/")
	for i, s := range elements {
		elements[i] = url.PathEscape(s)
	}
	until := strconv.FormatInt(expires.Unix(), 10)
	sig := encode(sum(e.pictures, until+"\n"+asset+"\n"+key))
	return strings.TrimSuffix(base, "/") + "/" + strings.Join(elements, "/") + "?asset=" + url.QueryEscape(asset) + "&expires=" + until + "&sig=" + sig
}
