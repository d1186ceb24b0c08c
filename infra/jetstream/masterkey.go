package jetstream

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// MasterKey wraps the keys of people.
type MasterKey [32]byte

// ID names the key without telling it: the first 8 bytes of a SHA-256, in hex.
func (k MasterKey) ID() string {
	sum := sha256.Sum256(append([]byte("kanvas master key id\x00"), k[:]...))
	return hex.EncodeToString(sum[:8])
}

// String keeps the key out of logs.
func (k MasterKey) String() string { return "master key " + k.ID() }

// GoString keeps the key out of logs.
func (k MasterKey) GoString() string { return k.String() }

// LoadMasterKey reads the key from a file of 64 hex digits, which must be a regular file that nobody but its owner may read.
// Where there is no file it makes one, durably, with a random key: losing it is losing all personal text.
// Processes that start together get the same key.
func LoadMasterKey(path string) (MasterKey, error) {
	k, err := readMasterKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeMasterKey(path); err != nil {
			return MasterKey{}, fmt.Errorf("master key: %w", err)
		}
		k, err = readMasterKey(path)
	}
	if err != nil {
		return MasterKey{}, fmt.Errorf("master key: %w", err)
	}
	return k, nil
}

func readMasterKey(path string) (k MasterKey, err error) {
	f, err := os.Open(path)
	if err != nil {
		return k, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return k, err
	}
	if !info.Mode().IsRegular() {
		return k, fmt.Errorf("%s is not a regular file", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return k, fmt.Errorf("%s may be read by others (mode %04o): chmod 600 it", path, info.Mode().Perm())
	}
	if info.Size() > 128 {
		return k, fmt.Errorf("%s is not 64 hex digits", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return k, err
	}
	raw, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(raw) != len(k) { // the error would quote the key
		return k, fmt.Errorf("%s is not 64 hex digits", path)
	}
	return MasterKey(raw), nil
}

func makeMasterKey(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".master-key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	var k MasterKey
	if _, err := rand.Read(k[:]); err != nil {
		return err
	}
	_, err = fmt.Fprintln(tmp, hex.EncodeToString(k[:]))
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) { // a link never replaces another's key
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
