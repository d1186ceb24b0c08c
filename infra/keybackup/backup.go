// Package keybackup reads and writes sealed backups in the age format (age-encryption.org), which the age tool opens too: lines of JSON, the last of
// which says how many there are. What was cut or changed is refused.
package keybackup

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"filippo.io/age"
)

// maxLine bounds a line in bytes.
const maxLine = 16 << 10

// end is the last line.
type end struct {
	End   bool `json:"end"`
	Lines int  `json:"lines"`
}

// To are those who can open a backup: whoever has the passphrase, or the identity (private key) of a recipient such as age1….
func To(passphrase, recipient string) (age.Recipient, error) {
	switch {
	case passphrase != "" && recipient != "":
		return nil, errors.New("a backup is sealed either by a passphrase or for a recipient")
	case recipient != "":
		return age.ParseX25519Recipient(recipient)
	case passphrase != "":
		return age.NewScryptRecipient(passphrase)
	}
	return nil, errors.New("a passphrase or a recipient is needed to seal a backup")
}

// Identity opens backups.
type Identity = age.Identity

// With is what opens a backup: the passphrase, or a file of identities as age-keygen makes it.
func With(passphrase, identityFile string) ([]age.Identity, error) {
	if identityFile != "" {
		f, err := os.Open(identityFile)
		if err != nil {
			return nil, err
		}
		ids, err := age.ParseIdentities(f)
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, fmt.Errorf("%s: %w", identityFile, err)
		}
		return ids, nil
	}
	if passphrase == "" {
		return nil, errors.New("a passphrase or a file of identities is needed to open a backup")
	}
	id, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, err
	}
	return []age.Identity{id}, nil
}

// WriteFile makes a backup of the lines that fill adds, durably and all at once: path (mode 0600) holds what it held before, or all of the new one.
// It returns how many lines there are.
func WriteFile(path string, to age.Recipient, fill func(add func(line any) error) error) (lines int, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".keys-backup-*") // mode 0600
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	lines, err = write(f, to, fill)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return 0, err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return 0, err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return 0, err
	}
	return lines, errors.Join(d.Sync(), d.Close())
}

func write(f io.Writer, to age.Recipient, fill func(add func(line any) error) error) (lines int, err error) {
	sealed, err := age.Encrypt(f, to)
	if err != nil {
		return 0, err
	}
	enc := json.NewEncoder(sealed)
	err = fill(func(line any) error { lines++; return enc.Encode(line) })
	if err == nil {
		err = enc.Encode(end{true, lines})
	}
	return lines, errors.Join(err, sealed.Close())
}

// ErrCut: the backup has not all of its lines.
var ErrCut = errors.New("the backup was cut off")

// ReadFile opens a backup and hands out its lines, after all of it was found whole.
func ReadFile(path string, with []age.Identity, line func(b []byte) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, use := range []func([]byte) error{func([]byte) error { return nil }, line} {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if err := read(f, with, use); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

func read(f io.Reader, with []age.Identity, line func([]byte) error) error {
	open, err := age.Decrypt(bufio.NewReader(f), with...)
	if err != nil {
		return err
	}
	sc := bufio.NewScanner(open)
	sc.Buffer(nil, maxLine)
	n, ended := 0, false
	for sc.Scan() {
		if ended {
			return errors.New("the backup goes on after its end")
		}
		if b := sc.Bytes(); bytes.HasPrefix(b, []byte(`{"end":true`)) {
			var e end
			if json.Unmarshal(b, &e) != nil || e.Lines != n {
				return ErrCut
			}
			ended = true
			continue
		}
		n++
		if err := line(sc.Bytes()); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	switch err := sc.Err(); {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return ErrCut
	case err != nil:
		return err
	case !ended:
		return ErrCut
	}
	return nil
}
