package keybackup_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/infinite-kanvas/kanvas/infra/keybackup"
)

func write(t *testing.T, path string, to age.Recipient, n int) {
	t.Helper()
	lines, err := keybackup.WriteFile(path, to, func(add func(any) error) error {
		for i := range n {
			if err := add(map[string]string{"secret": fmt.Sprint("word", i)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || lines != n {
		t.Fatalf("%d lines, %v", lines, err)
	}
}

func read(path string, with []age.Identity) (lines []string, err error) {
	err = keybackup.ReadFile(path, with, func(b []byte) error { lines = append(lines, string(b)); return nil })
	return lines, err
}

func TestBackupsForARecipient(t *testing.T) {
	dir := t.TempDir()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "identity")
	if err := os.WriteFile(file, []byte("# a comment\n"+id.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	to, err := keybackup.To("", id.Recipient().String())
	if err != nil {
		t.Fatal(err)
	}
	with, err := keybackup.With("", file)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "backup")
	const n = 5000 // several of age's chunks
	write(t, path, to, n)
	lines, err := read(path, with)
	if err != nil || len(lines) != n || lines[n-1] != fmt.Sprintf(`{"secret":"word%d"}`, n-1) {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	whole, err := os.ReadFile(path)
	if err != nil || bytes.Contains(whole, []byte("word1")) {
		t.Fatalf("%v, or it is readable", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	for _, cut := range []int{len(whole) - 1, len(whole) / 2, 100, 0} {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if lines, err := read(path, with); err == nil || len(lines) > 0 {
			t.Errorf("cut at %d of %d: %d lines were used, %v", cut, len(whole), len(lines), err)
		}
	}
	for _, at := range []int{10, len(whole) / 2, len(whole) - 3} {
		bad := bytes.Clone(whole)
		bad[at] ^= 1
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if lines, err := read(path, with); err == nil || len(lines) > 0 {
			t.Errorf("changed at %d: %d lines were used, %v", at, len(lines), err)
		}
	}
	// What fails leaves the backup of before.
	write(t, path, to, 2)
	boom := errors.New("boom")
	if _, err := keybackup.WriteFile(path, to, func(add func(any) error) error { return errors.Join(add(1), boom) }); !errors.Is(err, boom) {
		t.Error(err)
	}
	if lines, err := read(path, with); err != nil || len(lines) != 2 {
		t.Errorf("%q %v", lines, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("files left: %v %v", left, err)
	}
}

func TestBackupsUnderAPassphrase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "backup")
	to, err := keybackup.To("correct horse", "")
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, to, 3)
	with, err := keybackup.With("correct horse", "")
	if err != nil {
		t.Fatal(err)
	}
	if lines, err := read(path, with); err != nil || len(lines) != 3 {
		t.Errorf("%q %v", lines, err)
	}
	wrong, err := keybackup.With("battery staple", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read(path, wrong); err == nil || strings.Contains(err.Error(), "battery") {
		t.Error(err)
	}
	for _, bad := range [][2]string{{"", ""}, {"a", "age1"}, {"", "age1nonsense"}} {
		if _, err := keybackup.To(bad[0], bad[1]); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
