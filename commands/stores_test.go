package commands_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sort"
	"strings"
	"sync"

	"github.com/infinite-kanvas/kanvas/commands"
)

// memoryObjects is an object store as the port says, for tests of what is built on it.
type memoryObjects struct {
	mu   sync.Mutex
	m    map[string][]byte
	puts map[string]int
}

func newObjects() *memoryObjects {
	return &memoryObjects{m: map[string][]byte{}, puts: map[string]int{}}
}

func (o *memoryObjects) Put(_ context.Context, key, _ string, body io.Reader, size int64) error {
	b, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	if int64(len(b)) != size {
		return fmt.Errorf("put %s: %d bytes, said %d", key, len(b), size)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.m[key] = b
	o.puts[key]++
	return nil
}

func (o *memoryObjects) Get(_ context.Context, key string, offset, length int64) (io.ReadCloser, commands.Object, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b, ok := o.m[key]
	if !ok {
		return nil, commands.Object{}, commands.ErrNoObject
	}
	part := b[offset:]
	if length >= 0 {
		part = part[:min(length, int64(len(part)))]
	}
	return io.NopCloser(bytes.NewReader(part)), commands.Object{Key: key, Size: int64(len(b))}, nil
}

func (o *memoryObjects) Head(_ context.Context, key string) (commands.Object, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b, ok := o.m[key]
	if !ok {
		return commands.Object{}, commands.ErrNoObject
	}
	return commands.Object{Key: key, Size: int64(len(b))}, nil
}

func (o *memoryObjects) Delete(_ context.Context, keys ...string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, k := range keys {
		delete(o.m, k)
	}
	return nil
}

func (o *memoryObjects) List(_ context.Context, prefix string, yield func(commands.Object) bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var keys []string
	for k := range o.m {
		if strings.HasPrefix(k, prefix) {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	for _, k := range keys {
		if !yield(commands.Object{Key: k, Size: int64(len(o.m[k]))}) {
			break
		}
	}
	return nil
}

func (o *memoryObjects) count(prefix string) (n int) {
	_ = o.List(context.Background(), prefix, func(commands.Object) bool { n++; return true })
	return n
}

// snapshotRows is what a projection keeps of snapshots.
type snapshotRows struct {
	mu   sync.Mutex
	refs map[string][]commands.SnapshotRef
}

func (s *snapshotRows) written(_ context.Context, room string, ref commands.SnapshotRef) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refs == nil {
		s.refs = map[string][]commands.SnapshotRef{}
	}
	s.refs[room] = append(s.refs[room], ref)
	return nil
}

func (s *snapshotRows) Newest(_ context.Context, room string, revision uint64) (ref commands.SnapshotRef, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.refs[room] {
		if (revision == 0 || r.Revision <= revision) && r.Revision > ref.Revision {
			ref, ok = r, true
		}
	}
	return ref, ok, nil
}

func (s *snapshotRows) count(room string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.refs[room])
}
