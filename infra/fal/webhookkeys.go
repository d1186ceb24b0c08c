package fal

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"
)

const (
	webhookKeysURL = "https://" + restHost + "/.well-known/jwks.json"
	keysFresh      = time.Hour      // then they are fetched again before they are used: one may have been withdrawn
	keysKept       = 24 * time.Hour // for which they are used where they can't be fetched; fal.ai allows no longer
	keysPause      = 30 * time.Second
	keysWait       = 5 * time.Second // of the 15 that fal.ai waits for an answer
	maxKeySet      = 256 << 10
	maxKeys        = 16
)

// webhookKeys are fal.ai's published keys, cached. Its messages do not say which one signed them.
type webhookKeys struct {
	client   *http.Client
	now      func() time.Time
	fetching chan struct{} // capacity 1: who holds it fetches

	mu      sync.Mutex
	keys    []ed25519.PublicKey
	fetched time.Time // of the keys
	tried   time.Time // of the newest fetch, whatever came of it
	failure error     // of that fetch
}

// any reports whether one of the keys is good. Where none of those known is, and the last fetch is a while ago, they are fetched again.
func (k *webhookKeys) any(ctx context.Context, good func(ed25519.PublicKey) bool) (bool, error) {
	for {
		keys, fresh, paused, err := k.look()
		if fresh || paused {
			for _, key := range keys {
				if good(key) {
					return true, nil
				}
			}
		}
		if paused {
			return false, err
		}
		if err := k.fetch(ctx); err != nil {
			return false, err
		}
	}
}

// look returns the keys that may be used; paused says that asking for others has to wait, and err why there are none.
func (k *webhookKeys) look() (keys []ed25519.PublicKey, fresh, paused bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	age := now.Sub(k.fetched)
	if age < keysKept {
		keys = k.keys
	}
	paused = !k.tried.IsZero() && now.Sub(k.tried) < keysPause
	if len(keys) == 0 || age >= keysFresh {
		err = k.failure
	}
	return keys, len(keys) > 0 && age < keysFresh, paused, err
}

// fetch replaces the keys by those published now; where that fails the old ones stay. The error is of ctx alone.
func (k *webhookKeys) fetch(ctx context.Context) error {
	select {
	case k.fetching <- struct{}{}:
		defer func() { <-k.fetching }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if _, _, paused, _ := k.look(); paused { // somebody else has asked meanwhile
		return nil
	}
	keys, err := k.published(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tried, k.failure = k.now(), err
	if err == nil {
		k.keys, k.fetched = keys, k.tried
	}
	return nil
}

func (k *webhookKeys) published(ctx context.Context) ([]ed25519.PublicKey, error) {
	ctx, cancel := context.WithTimeout(ctx, keysWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, webhookKeysURL, nil)
	if err != nil {
		return nil, fmt.Errorf("fal: fetch keys: %w", err)
	}
	res, err := k.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fal: fetch keys: %s", reason(err))
	}
	defer res.Body.Close()
	b, err := io.ReadAll(&limited{res.Body, maxKeySet})
	if err != nil || res.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("fal: fetch keys: %s answers %d", restHost, res.StatusCode), err)
	}
	var set jwkset.JWKSMarshal
	if err := json.Unmarshal(b, &set); err != nil {
		return nil, errors.New("fal: fetch keys: the answer is no set of keys")
	}
	var keys []ed25519.PublicKey
	for _, m := range set.Keys {
		key, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
		if err != nil || len(keys) == maxKeys {
			continue // of another kind, or damaged: the others are good all the same
		}
		if public, ok := key.Key().(ed25519.PublicKey); ok {
			keys = append(keys, public)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("fal: fetch keys: there is none for webhooks")
	}
	return keys, nil
}
