package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
)

// Capabilities makes and checks the capability of a room: what lets the bearer load the room's pictures without a token. It stands in
// the URLs that old clients are given, which are permanent, so it does not expire.
type Capabilities struct{ secret []byte }

// NewCapabilities derives its key from secret (at least MinSecretBytes).
func NewCapabilities(secret []byte) (*Capabilities, error) {
	key, err := derive(secret, "kanvas/capability/v1")
	if err != nil {
		return nil, err
	}
	return &Capabilities{secret: key}, nil
}

// Capability is the capability of a room: 43 characters of base64url, the same for ever.
func (c *Capabilities) Capability(roomID string) string {
	// A key of the room first, so that revoking one (a counter in the room's key) touches no other room.
	key := sum(c.secret, "room/"+roomID)
	return base64.RawURLEncoding.EncodeToString(sum(key, "assets"))
}

// VerifyCapability reports whether capability is the room's. It takes the same time for every wrong one.
func (c *Capabilities) VerifyCapability(roomID, capability string) bool {
	return hmac.Equal([]byte(c.Capability(roomID)), []byte(capability))
}

func sum(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}
