package jetstream

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
)

// wrapped is how a person's key is stored, as JSON.
type wrapped struct {
	V         int    `json:"v"`                   // 1
	KeyID     string `json:"kid,omitempty"`       // of the master key
	Nonce     []byte `json:"nonce,omitempty"`     // 12 bytes
	Key       []byte `json:"key,omitempty"`       // 32 bytes under AES-256-GCM, with tag; the person and kid are authenticated
	Destroyed bool   `json:"destroyed,omitempty"` // a tombstone: the key was destroyed and must not come back
}

func gcm(k MasterKey) (cipher.AEAD, error) {
	block, err := aes.NewCipher(k[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func associated(person, keyID string) []byte {
	return []byte("kanvas person key v1\x00" + keyID + "\x00" + person)
}

func wrap(m MasterKey, person string, key []byte) ([]byte, error) {
	aead, err := gcm(m)
	if err != nil {
		return nil, err
	}
	w := wrapped{V: 1, KeyID: m.ID(), Nonce: make([]byte, aead.NonceSize())}
	if _, err := rand.Read(w.Nonce); err != nil {
		return nil, err
	}
	w.Key = aead.Seal(nil, w.Nonce, key, associated(person, w.KeyID))
	return json.Marshal(w)
}

// errMasterKey: a key is wrapped under a master key that is not known.
var errMasterKey = errors.New("which is not given")

// unwrap returns the key, or ok false for a tombstone.
func unwrap(masters map[string]MasterKey, person string, stored []byte) (key []byte, ok bool, err error) {
	var w wrapped
	if err := json.Unmarshal(stored, &w); err != nil || w.V != 1 {
		return nil, false, fmt.Errorf("the stored key of %q cannot be read", person)
	}
	if w.Destroyed {
		return nil, false, nil
	}
	m, known := masters[w.KeyID]
	if !known {
		return nil, false, fmt.Errorf("the key of %q is wrapped under master key %s, %w", person, w.KeyID, errMasterKey)
	}
	aead, err := gcm(m)
	if err != nil {
		return nil, false, err
	}
	if len(w.Nonce) != aead.NonceSize() {
		return nil, false, fmt.Errorf("the stored key of %q is damaged", person)
	}
	key, err = aead.Open(nil, w.Nonce, w.Key, associated(person, w.KeyID))
	if err != nil || len(key) != 32 {
		return nil, false, fmt.Errorf("the stored key of %q is damaged or not this person's", person)
	}
	return key, true, nil
}
