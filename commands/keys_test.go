package commands_test

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"hash/crc32"
	"sync"
	"testing"

	"github.com/infinite-kanvas/kanvas/commands"
)

// memoryKeys is a store of keys as the port says.
type memoryKeys struct {
	mu        sync.Mutex
	m         map[string][]byte
	destroyed map[string]bool
}

var allKeys sync.Map // of *memoryKeys by log: processes on one log share the keys

func openKeys(_ testing.TB, log commands.Log) *memoryKeys {
	k, _ := allKeys.LoadOrStore(log, &memoryKeys{m: map[string][]byte{}, destroyed: map[string]bool{}})
	return k.(*memoryKeys)
}

func (k *memoryKeys) Key(_ context.Context, person string, create bool) ([]byte, bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.destroyed[person] {
		return nil, false, nil
	}
	key, ok := k.m[person]
	if !ok && create {
		key = make([]byte, 32)
		rand.Read(key)
		k.m[person] = key
		return key, true, nil
	}
	return key, ok, nil
}

func (k *memoryKeys) destroy(person string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.m, person)
	k.destroyed[person] = true
}

// fixCRC makes a PNG's header chunk valid again after it was changed.
func fixCRC(b []byte) []byte {
	binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
	return b
}
