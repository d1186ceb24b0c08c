package commands

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// sealPrefix names the way of sealing: AES-256-GCM, nonce of 12 bytes before the ciphertext, base64url without padding.
const sealPrefix = "k1."

var (
	errSealed = errors.New("sealed text is malformed or was changed")
	errNoKey  = errors.New("there is no key, or none any more")
)

// Sealer seals personal text under the key of its person and opens it. Methods may be called concurrently.
// It keeps no key: the store of keys has its own cache, and a key that was destroyed there is of no use here from then on.
type Sealer struct{ keys Keys }

// NewSealer returns a Sealer over a store of keys.
func NewSealer(keys Keys) *Sealer { return &Sealer{keys: keys} }

// Seal encrypts text for a person, making the person's key where there is none. The empty text is the empty Sealed. For a person whose key
// was destroyed nothing can be sealed any more: CodeForbidden.
func (s *Sealer) Seal(ctx context.Context, person, text string) (events.Sealed, error) {
	if text == "" {
		return "", nil
	}
	aead, ok, err := s.key(ctx, person, true)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", domain.Errorf(domain.CodeForbidden, "this person was forgotten")
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(text)+aead.Overhead())
	rand.Read(nonce) // never fails: crypto/rand ends the process instead
	box := aead.Seal(nonce, nonce, []byte(text), sealedFor(person))
	return events.Sealed(sealPrefix + base64.RawURLEncoding.EncodeToString(box)), nil
}

// Open decrypts what Seal made for the person; ok is false where the person's key is gone, the text was changed, or the keys can't be read.
func (s *Sealer) Open(ctx context.Context, person string, sealed events.Sealed) (text string, ok bool) {
	text, err := s.open(ctx, person, sealed)
	return text, err == nil
}

func (s *Sealer) open(ctx context.Context, person string, sealed events.Sealed) (string, error) {
	if sealed == "" {
		return "", nil
	}
	body, found := strings.CutPrefix(string(sealed), sealPrefix)
	if !found {
		return "", errSealed
	}
	box, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		return "", errSealed
	}
	aead, ok, err := s.key(ctx, person, false)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", fmt.Errorf("open text of %s: %w", person, errNoKey)
	}
	if len(box) < aead.NonceSize() {
		return "", errSealed
	}
	text, err := aead.Open(nil, box[:aead.NonceSize()], box[aead.NonceSize():], sealedFor(person))
	if err != nil {
		return "", errSealed
	}
	return string(text), nil
}

// Sum tells the same data of a person again, in 64 digits of hex that say nothing to who guesses at the data without the person's key. CodeForbidden
// for a person whose key was destroyed.
func (s *Sealer) Sum(ctx context.Context, person string, data []byte) (string, error) {
	key, ok, err := s.keys.Key(ctx, person, true)
	if err != nil {
		return "", fmt.Errorf("key of %s: %w", person, err)
	}
	if !ok {
		return "", domain.Errorf(domain.CodeForbidden, "this person was forgotten")
	}
	if key, err = hkdf.Key(sha256.New, key, nil, "kanvas sum", sha256.Size); err != nil { // the key itself has another use
		return "", fmt.Errorf("key of %s: %w", person, err)
	}
	sum := hmac.New(sha256.New, key)
	sum.Write(data)
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// HasKey reports whether the person has a key: something was sealed for them.
func (s *Sealer) HasKey(ctx context.Context, person string) (bool, error) {
	_, ok, err := s.key(ctx, person, false)
	return ok, err
}

func (s *Sealer) key(ctx context.Context, person string, create bool) (cipher.AEAD, bool, error) {
	key, ok, err := s.keys.Key(ctx, person, create)
	if err != nil {
		return nil, false, fmt.Errorf("key of %s: %w", person, err)
	}
	if !ok {
		return nil, false, nil
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, false, fmt.Errorf("key of %s: %w", person, err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, false, fmt.Errorf("key of %s: %w", person, err)
	}
	return aead, true, nil
}

// sealedFor binds a sealed text to its person and purpose: moved elsewhere it doesn't open.
func sealedFor(person string) []byte { return []byte("kanvas personal text\x00" + person) }
