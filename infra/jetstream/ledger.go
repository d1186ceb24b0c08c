package jetstream

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/infinite-kanvas/kanvas/commands"
)

// The ledgers' buckets.
const (
	ledgerBucket  = "KANVAS_QUOTA"
	budgetsBucket = "KANVAS_BUDGETS"
)

var _ commands.Ledger = (*Ledger)(nil)

// Ledger keeps documents in a JetStream KV bucket in files. Safe for concurrent use.
type Ledger struct{ kv jetstream.KeyValue }

// OpenLedger makes or finds the ledger of bytes of assets, by person.
func (s *Store) OpenLedger(ctx context.Context) (*Ledger, error) {
	return s.openLedger(ctx, ledgerBucket, "Kanvas: bytes of assets by person")
}

// OpenBudgets makes or finds the ledger of money, by account.
func (s *Store) OpenBudgets(ctx context.Context) (*Ledger, error) {
	return s.openLedger(ctx, budgetsBucket, "Kanvas: money spent by account")
}

// openLedger makes or finds a bucket that is read from its leader alone: what a follower says that is behind would let a settlement go by what it settles.
func (s *Store) openLedger(ctx context.Context, bucket, about string) (*Ledger, error) {
	kv, err := s.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: bucket, Description: about, History: 1, Storage: jetstream.FileStorage, Replicas: s.Replicas(),
	})
	if err == nil {
		err = s.readFromLeader(ctx, "KV_"+bucket)
	}
	if err == nil {
		kv, err = s.js.KeyValue(ctx, bucket)
	}
	if err != nil {
		return nil, fmt.Errorf("jetstream: ledger %s: %w", bucket, err)
	}
	return &Ledger{kv}, nil
}

// readFromLeader turns direct reads of a stream off.
func (s *Store) readFromLeader(ctx context.Context, name string) error {
	st, err := s.js.Stream(ctx, name)
	if err != nil {
		return err
	}
	c := st.CachedInfo().Config
	if !c.AllowDirect {
		return nil
	}
	c.AllowDirect = false
	_, err = s.js.UpdateStream(ctx, c)
	return err
}

func ledgerKey(person string) string { return base64.RawURLEncoding.EncodeToString([]byte(person)) }

// Get implements commands.Ledger.
func (l *Ledger) Get(ctx context.Context, person string) ([]byte, uint64, error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	e, err := l.kv.Get(ctx, ledgerKey(person))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("jetstream: ledger: %w", err)
	}
	return e.Value(), e.Revision(), nil
}

// Put implements commands.Ledger.
func (l *Ledger) Put(ctx context.Context, person string, doc []byte, version uint64) error {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	_, err := l.kv.Update(ctx, ledgerKey(person), doc, version)
	var coded *jetstream.APIError
	if errors.As(err, &coded) && (coded.ErrorCode == codeWrongLastSeq || coded.ErrorCode == codeWrongLastSeqConstant || coded.ErrorCode == codeLastSeqNotReady) || errors.Is(err, jetstream.ErrKeyExists) {
		return commands.ErrSequence
	}
	if err != nil {
		return fmt.Errorf("jetstream: ledger: %w", err)
	}
	return nil
}

// People implements commands.Ledger.
func (l *Ledger) People(ctx context.Context, yield func(person string) bool) error {
	keys, err := l.kv.ListKeys(ctx)
	if err != nil {
		return fmt.Errorf("jetstream: ledger: %w", err)
	}
	defer func() { _ = keys.Stop() }() // nothing is lost by a listing that does not end well
	for k := range keys.Keys() {
		person, err := base64.RawURLEncoding.DecodeString(k)
		if err != nil {
			continue // not ours
		}
		if !yield(string(person)) {
			return nil
		}
	}
	return ctx.Err()
}
