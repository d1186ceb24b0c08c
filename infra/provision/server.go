package provision

import (
	"bytes"
	"context"
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

const envGatewaySecret = "KANVAS_GATEWAY_SECRET"

// planServer writes down what the room server has to be told to use all this.
func (p *Provisioner) planServer(ctx context.Context) ([]Action, error) {
	old, err := os.ReadFile(p.EnvFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read what the server was told: %w", err)
	}
	if err := p.chooseGatewaySecret(old); err != nil {
		return nil, err
	}
	what := "settings of the room server"
	if p.databaseID != "" && p.kvID != "" {
		text, err := p.serverEnv(ctx)
		if err == nil && bytes.Equal(text, old) {
			return []Action{{Verb: Keep, What: what, Detail: p.EnvFile}}, nil
		}
	}
	return []Action{{Verb: Change, What: what, Detail: p.EnvFile + " (mode 0600, holds secrets)", do: p.writeServerEnv}}, nil
}

// chooseGatewaySecret takes the secret that is set, else that of an earlier run, else a new one, which only Apply writes down.
func (p *Provisioner) chooseGatewaySecret(old []byte) error {
	if p.GatewaySecret == "" {
		for line := range strings.Lines(string(old)) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), envGatewaySecret+"="); ok {
				p.GatewaySecret = v
			}
		}
	}
	if p.GatewaySecret == "" {
		b := make([]byte, minSecret)
		rand.Read(b) // never fails
		p.GatewaySecret = hex.EncodeToString(b)
	}
	if len(p.GatewaySecret) < minSecret || strings.ContainsFunc(p.GatewaySecret, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("'\"$`\\#", r) }) {
		return &Problem{Doing: "use " + envGatewaySecret, Err: fmt.Errorf("it is shorter than %d characters, or has others than letters, digits and signs that every shell takes", minSecret),
			Next: "leave it unset, and one is made; or take the output of: openssl rand -hex 32"}
	}
	return nil
}

func (p *Provisioner) writeServerEnv(ctx context.Context) error {
	text, err := p.serverEnv(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(p.EnvFile), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(p.EnvFile), ".cloudflare-") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone where the rename worked
	if _, err := f.Write(text); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), p.EnvFile)
}

func (p *Provisioner) serverEnv(ctx context.Context) ([]byte, error) {
	url, err := p.workerURL(ctx)
	if err != nil {
		return nil, err
	}
	access, secret := p.R2AccessKey, p.R2SecretKey
	if access == "" || secret == "" {
		sum := sha256.Sum256([]byte(p.Token))
		access, secret = p.tokenID, hex.EncodeToString(sum[:])
	}
	var b bytes.Buffer
	b.WriteString("# What kanvas serve needs to know of Cloudflare, written by kanvas provision. Holds secrets.\n")
	b.WriteString("# The server needs no API token: D1 and KV go through the Worker, R2 has keys of its own.\n")
	for _, kv := range [][2]string{
		{"CLOUDFLARE_ACCOUNT_ID", p.Client.Account()},
		{"KANVAS_GATEWAY_URL", url},
		{envGatewaySecret, p.GatewaySecret},
		{"D1_DATABASE_ID", p.databaseID},
		{"KV_NAMESPACE_ID", p.kvID},
		{"R2_BUCKET_NAME", p.Manifest.Bucket},
		{"R2_ACCESS_KEY_ID", access},
		{"R2_SECRET_ACCESS_KEY", secret},
	} {
		fmt.Fprintf(&b, "%s=%s\n", kv[0], shellWord(kv[1]))
	}
	return b.Bytes(), nil
}

// shellWord quotes a value that a shell would read otherwise. All others stay as they are, for what reads such files without a shell.
func shellWord(value string) string {
	plain := !strings.ContainsFunc(value, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("%+,-./:=@_", r))
	})
	if plain {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}
