package config

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// SecretBytes is the length of a server's secret.
const SecretBytes = 32

// Secret reads the secret in DIR/name (hex), from which the server derives what it signs with; it makes one at the first call.
// The file must be readable by its owner alone. Two processes that make it at once agree on one.
func Secret(dir, name string) ([]byte, error) {
	path := filepath.Join(dir, name)
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeSecret(dir, path); err != nil {
			return nil, fmt.Errorf("make %s: %w", path, err)
		}
		st, err = os.Stat(path)
	}
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others (mode %#o): chmod 600 it", path, st.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(b) != SecretBytes {
		return nil, fmt.Errorf("%s does not hold %d bytes in hex", path, SecretBytes)
	}
	return b, nil
}

// makeSecret writes a fresh secret beside path and links it there, so that nobody ever reads half of one.
func makeSecret(dir, path string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	b := make([]byte, SecretBytes)
	if _, err := rand.Read(b); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".secret-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.WriteString(hex.EncodeToString(b) + "\n"); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Chmod(0o600), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
