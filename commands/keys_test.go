package commands_test

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/infinite-kanvas/kanvas/infra/jetstream"
)

func openKeys(t testing.TB, log *jetstream.Store) *jetstream.Keys {
	t.Helper()
	k, err := log.OpenKeys(testContext(t), jetstream.MasterKey{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// fixCRC makes a PNG's header chunk valid again after it was changed.
func fixCRC(b []byte) []byte {
	binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
	return b
}
