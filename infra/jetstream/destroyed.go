package jetstream

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
)

// destroyedHooks are those who want to know which keys are destroyed.
type destroyedHooks struct {
	mu  sync.Mutex
	fns []func(person string)
}

func (d *destroyedHooks) tell(person string) {
	d.mu.Lock()
	fns := d.fns
	d.mu.Unlock()
	for _, fn := range fns {
		fn(person)
	}
}

// OnDestroyed has fn called for each key that is destroyed from now on, once it is: by this node before Destroy returns, and by other nodes as
// FollowDestroyed hears of it. It may be called more than once for a person, and concurrently; it must not block.
func (k *Keys) OnDestroyed(fn func(person string)) {
	k.gone.mu.Lock()
	defer k.gone.mu.Unlock()
	k.gone.fns = append(k.gone.fns[:len(k.gone.fns):len(k.gone.fns)], fn)
}

// FollowDestroyed hears of keys that other nodes destroy, until stop, which waits for the last call of a hook. With the embedded server there are
// no other nodes, and nothing to follow. What happens while the connection is lost is heard once it is back.
func (k *Keys) FollowDestroyed(ctx context.Context) (stop func() error, err error) {
	if k.s.ns != nil {
		return func() error { return nil }, nil
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w, err := k.kv.WatchAll(ctx, jetstream.UpdatesOnly())
	if err != nil {
		cancel()
		return nil, fmt.Errorf("jetstream: follow the keys: %w", err)
	}
	var following sync.WaitGroup
	following.Go(func() {
		for e := range w.Updates() {
			if e != nil {
				k.heard(e)
			}
		}
	})
	return func() error {
		err := w.Stop()
		cancel()
		following.Wait()
		return err
	}, nil
}

// heard takes a key that was made or destroyed.
func (k *Keys) heard(e jetstream.KeyValueEntry) {
	var v wrapped
	person, ok := unescapeKey(e.Key())
	if !ok || json.Unmarshal(e.Value(), &v) != nil {
		return
	}
	if v.KeyID != "" && !k.masters.has(v.KeyID) { // another node rotates
		if err := k.masters.look(); err != nil {
			k.s.log.Error("master_key_unread", "error", err.Error())
		}
	}
	if !v.Destroyed {
		return
	}
	k.cache.destroy(person)
	k.gone.tell(person)
}
