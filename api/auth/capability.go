package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
)

// Capabilities makes and checks the capability of a room: what lets the bearer load the room's pictures without a token. It stands in
// the URLs that old clients are given, which are permanent, so it does not expire; the room's owner revokes all of them by changing the room's key.
type Capabilities struct{ secret []byte }

// NewCapabilities derives its key from secret (at least MinSecretBytes).
func NewCapabilities(secret []byte) (*Capabilities, error) {
	key, err := derive(secret, "kanvas/capability/v1")
	if err != nil {
		return nil, err
	}
	return &Capabilities{secret: key}, nil
}

// Capability is the capability of a room under its key of that number (domain.Room.Key): 43 characters of base64url, good until the room's key is
// another one.
func (c *Capabilities) Capability(roomID string, key uint64) string {
	of := "room/" + roomID
	if key > 0 {
		of += "/" + strconv.FormatUint(key, 10) // ids of rooms hold no slash
	}
	return base64.RawURLEncoding.EncodeToString(sum(sum(c.secret, of), "assets"))
}

// VerifyCapability reports whether capability is the room's under the key. It takes the same time for every wrong one.
func (c *Capabilities) VerifyCapability(roomID string, key uint64, capability string) bool {
	return hmac.Equal([]byte(c.Capability(roomID, key)), []byte(capability))
}

func sum(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}
