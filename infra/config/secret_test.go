package config

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestSecretIsMadeOnceAndKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	a, err := Secret(dir, "secret")
	if err != nil {
		t.Fatal(err)
	}
	b, err := Secret(dir, "secret")
	if err != nil || !bytes.Equal(a, b) || len(a) != SecretBytes {
		t.Fatalf("%x %x %v", a, b, err)
	}
	other, err := Secret(t.TempDir(), "secret")
	if err != nil || bytes.Equal(a, other) {
		t.Fatal("two servers share a secret")
	}
}

func TestSecretThatOthersCanReadIsRefused(t *testing.T) {
	dir := t.TempDir()
	if _, err := Secret(dir, "secret"); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Secret(dir, "secret"); err == nil {
		t.Fatal("accepted")
	}
}

func TestDamagedSecretIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Secret(dir, "secret"); err == nil {
		t.Fatal("accepted")
	}
}
