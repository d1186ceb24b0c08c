package clerk

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

const (
	keysFresh = time.Hour // then they are fetched again before they are used: a key may have been withdrawn
	// keysKept is how long keys are used where they can't be fetched: Clerk being away for a while signs nobody out.
	keysKept    = 24 * time.Hour
	keyPause    = 10 * time.Second // between two fetches that tokens with unknown keys ask for
	keyTimeout  = 3 * time.Second
	maxKeySet   = 256 << 10 // bytes
	minKeyBits  = 2048
	maxKeysUsed = 64
)

var errNoKey = errors.New("clerk: no such key")

// keySource gives the public key of a key id. errNoKey: there is none; other errors: it could not be found out.
type keySource interface {
	key(ctx context.Context, kid string) (*rsa.PublicKey, error)
}

// fixedKey is a key from the configuration: no network, whatever key id a token names.
type fixedKey struct{ public *rsa.PublicKey }

func (f fixedKey) key(context.Context, string) (*rsa.PublicKey, error) { return f.public, nil }

// parsePEM reads a public key as Clerk's dashboard shows it; in a variable's value "\n" may stand for the ends of lines.
func parsePEM(text string) (*rsa.PublicKey, error) {
	text = strings.ReplaceAll(text, `\n`, "\n")
	if b, _ := pem.Decode([]byte(text)); b == nil || !strings.Contains(b.Type, "PUBLIC KEY") {
		return nil, errors.New("clerk: not a public key in PEM form")
	}
	k, err := jwt.ParseRSAPublicKeyFromPEM([]byte(text))
	if err != nil {
		return nil, errors.New("clerk: not an RSA public key in PEM form")
	}
	if k.N.BitLen() < minKeyBits {
		return nil, fmt.Errorf("clerk: an RSA key of %d bits, at least %d are needed", k.N.BitLen(), minKeyBits)
	}
	return k, nil
}

// keySet is Clerk's published keys, cached.
type keySet struct {
	url    string
	secret string // of the Backend API, "" for the public address
	client *http.Client
	now    func() time.Time

	fetching chan struct{} // capacity 1: who holds it fetches

	mu      sync.Mutex
	keys    map[string]*rsa.PublicKey
	fetched time.Time // of the keys
	tried   time.Time // of the newest fetch, whatever came of it
	failure error     // of that fetch
}

func newKeySet(url, secret string, client *http.Client, now func() time.Time) *keySet {
	return &keySet{url: url, secret: secret, client: client, now: now, fetching: make(chan struct{}, 1)}
}

// look returns what is known of a key without asking anybody. ask says that asking may tell more.
func (s *keySet) look(kid string) (k *rsa.PublicKey, ask bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	k = s.keys[kid]
	age := now.Sub(s.fetched)
	paused := !s.tried.IsZero() && now.Sub(s.tried) < keyPause
	switch {
	case k != nil && (age < keysFresh || paused && age < keysKept):
		return k, false, nil
	case !paused:
		if age >= keysKept {
			k = nil
		}
		return k, true, nil
	case s.failure != nil:
		return nil, false, s.failure
	}
	return nil, false, errNoKey
}

func (s *keySet) key(ctx context.Context, kid string) (*rsa.PublicKey, error) {
	k, ask, err := s.look(kid)
	if !ask {
		return k, err
	}
	select {
	case s.fetching <- struct{}{}:
		defer func() { <-s.fetching }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if k, ask, err = s.look(kid); !ask { // somebody else has asked meanwhile
		return k, err
	}
	s.fetch(ctx)
	if k, ask, err = s.look(kid); ask {
		err = errNoKey
	}
	return k, err
}

// fetch replaces the keys by those published now; where that fails the old ones stay.
func (s *keySet) fetch(ctx context.Context) {
	keys, err := s.published(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried, s.failure = s.now(), err
	if err == nil {
		s.keys, s.fetched = keys, s.tried
	}
}

func (s *keySet) published(ctx context.Context) (map[string]*rsa.PublicKey, error) {
	ctx, cancel := context.WithTimeout(ctx, keyTimeout)
	defer cancel()
	b, err := get(ctx, s.client, s.url, s.secret, maxKeySet)
	if err != nil {
		return nil, fmt.Errorf("clerk: fetch keys: %w", err)
	}
	var set jwkset.JWKSMarshal
	if err := json.Unmarshal(b, &set); err != nil {
		return nil, errors.New("clerk: fetch keys: the answer is no set of keys")
	}
	keys := map[string]*rsa.PublicKey{}
	for _, m := range set.Keys {
		if m.USE != "" && m.USE != jwkset.UseSig || m.ALG != "" && m.ALG != jwkset.AlgRS256 || m.KID == "" || len(keys) == maxKeysUsed {
			continue
		}
		k, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
		if err != nil {
			continue // of another kind, or damaged: the others are good all the same
		}
		if public, ok := k.Key().(*rsa.PublicKey); ok && public.N.BitLen() >= minKeyBits {
			keys[m.KID] = public
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("clerk: fetch keys: there is no RSA key for signatures")
	}
	return keys, nil
}

// get fetches at most limit bytes. Errors hold neither the secret nor the answer.
func get(ctx context.Context, client *http.Client, url, secret string, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, errors.New("the address is not one")
	}
	req.Header.Set("Accept", "application/json")
	if secret != "" {
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %d", req.URL.Host, res.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("the answer has more than %d bytes", limit)
	}
	return b, err
}
