package jetstream

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/infinite-kanvas/kanvas/commands"
)

const ledgerBucket = "KANVAS_QUOTA"

var _ commands.Ledger = (*Ledger)(nil)

// Ledger keeps documents of people in a JetStream KV bucket in files. Safe for concurrent use.
type Ledger struct{ kv jetstream.KeyValue }

// OpenLedger makes or finds the bucket.
func (s *Store) OpenLedger(ctx context.Context) (*Ledger, error) {
	kv, err := s.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: ledgerBucket, Description: "Kanvas: bytes of assets by person", History: 1, Storage: jetstream.FileStorage, Replicas: s.Replicas(),
	})
	if err != nil {
		return nil, fmt.Errorf("jetstream: quota: %w", err)
	}
	return &Ledger{kv}, nil
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
		return nil, 0, fmt.Errorf("jetstream: quota: %w", err)
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
		return fmt.Errorf("jetstream: quota: %w", err)
	}
	return nil
}

// People implements commands.Ledger.
func (l *Ledger) People(ctx context.Context, yield func(person string) bool) error {
	keys, err := l.kv.ListKeys(ctx)
	if err != nil {
		return fmt.Errorf("jetstream: quota: %w", err)
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
