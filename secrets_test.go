package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/infinite-kanvas/kanvas/infra/config"
	"github.com/infinite-kanvas/kanvas/infra/provision/provisiontest"
)

// secretValue is a value that is recognised wherever it turns up, and of a form that the setting takes.
func secretValue(name string) string {
	word := "5ecret" + strings.ToLower(strings.ReplaceAll(name, "_", "")) + strings.Repeat("x", 40)
	switch name {
	case "CLOUDFLARE_API_TOKEN":
		return provisiontest.Token
	case "CLERK_SECRET_KEY":
		return "sk_live_" + word
	case "CLERK_WEBHOOK_SECRET":
		return "whsec_" + base64.StdEncoding.EncodeToString([]byte(word))
	}
	return word
}

// secretEnv gives every secret setting its own value.
func secretEnv(t *testing.T) (env, values []string) {
	t.Helper()
	for _, name := range config.Secrets() {
		if name == "CLERK_PEM" { // a public key; hidden only because of its many lines
			continue
		}
		v := secretValue(name)
		env, values = append(env, name+"="+v), append(values, v)
	}
	if len(env) < 4 {
		t.Fatalf("only %d secrets", len(env))
	}
	return env, values
}

// leaks fails where text holds one of the secrets, also in hex or as a part of it.
func leaks(t *testing.T, where, text string, values []string) {
	t.Helper()
	for _, v := range values {
		for _, form := range []string{v, fmt.Sprintf("%x", v), v[6:30]} {
			if strings.Contains(text, form) {
				t.Errorf("%s holds a secret: %.40q…", where, form)
			}
		}
	}
}

// watch reads the command lines of all processes until it is stopped, so that one that lives for a moment is seen too.
func watch(t *testing.T, values []string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
			if err != nil {
				done <- err
				return
			}
			for _, path := range lines {
				line, err := os.ReadFile(path)
				if err != nil {
					continue // gone
				}
				for _, v := range values {
					if bytes.Contains(line, []byte(v)) {
						done <- fmt.Errorf("a command line holds a secret: %.200q", line)
						return
					}
				}
			}
		}
		done <- nil
	}()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// broken is a server that answers everything with an error which repeats what it was sent, as careless ones do.
func broken(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, "<html>Error code: 1101 %s %v</html>", body, r.Header)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestSecretsStayHidden: every secret is set to a word of its own, everything outside fails, and none of the words is in any output,
// log, metric, error, command line or file that others may read.
func TestSecretsStayHidden(t *testing.T) {
	env, values := secretEnv(t)
	bad := broken(t)
	dir := t.TempDir()
	env = append(env, "CLOUDFLARE_ACCOUNT_ID="+provisiontest.Account, "D1_DATABASE_ID=db", "KV_NAMESPACE_ID=ns", "R2_ACCESS_KEY_ID=key",
		"KANVAS_R2_ENDPOINT="+bad, "KV_REST_API_URL="+bad, "KANVAS_GATEWAY_URL="+bad, "KANVAS_CLOUDFLARE_API_URL="+bad, "CLERK_API_URL="+bad,
		"KANVAS_ORIGINS=https://app.kanvas.test")
	stop := watch(t, values)

	t.Run("serve", func(t *testing.T) {
		s := startServer(t, dir, "127.0.0.1:0", append(env, "KANVAS_LOG_LEVEL=debug")...)
		token := strings.TrimSpace(mustTool(t, "token", "ann", "--data", dir))
		room := map[string]any{"id": "hidden", "name": "Hidden", "visibility": "public"}
		if _, err := httpJSON("POST", "http://"+s.addr+"/v1/rooms", token, room, &struct{}{}); err != nil {
			t.Log(err) // limits may be closed while their store is down
		}
		for _, path := range []string{"/metrics", "/readyz", "/healthz", "/openapi.json", "/v1/rooms", "/v1/assets/none", "/nowhere"} {
			res, err := http.Get("http://" + s.addr + path)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(res.Body)
			if err != nil || res.Body.Close() != nil {
				t.Fatal(err)
			}
			leaks(t, path, string(text), values)
		}
		leaks(t, "a help", mustTool(t, "serve", "--help"), values)
		out, err := toolWith(t, env, "doctor", "--data", dir)
		if err == nil {
			t.Errorf("all is well with everything broken:\n%s", out)
		}
		leaks(t, "doctor beside a server", out, values)
		s.stop()
		leaks(t, "the server's log", s.out.String(), append(values, token))
	})
	t.Run("doctor", func(t *testing.T) {
		for _, form := range []string{"--json=false", "--json"} {
			out, err := toolWith(t, env, "doctor", form, "--data", dir, "--listen", "127.0.0.1:0")
			if err == nil || strings.Count(out, "fail") < 4 {
				t.Errorf("%v\n%s", err, out)
			}
			leaks(t, "doctor", out, values)
		}
	})
	t.Run("provision against a broken API", func(t *testing.T) {
		out, err := toolWith(t, env, "provision", "--yes", "--data", dir)
		if err == nil {
			t.Error("it worked")
		}
		leaks(t, "provision", out, values)
	})
	t.Run("settings that are refused", func(t *testing.T) {
		for _, kv := range env {
			name, v, _ := strings.Cut(kv, "=")
			out, _ := toolWith(t, append(slices.Clone(env), name+"="+v+" \x01\"'"), "doctor", "--data", dir, "--listen", "127.0.0.1:0") // whether it is refused is the setting's business
			leaks(t, "with a strange "+name, out, values)
		}
	})
	stop()
	t.Run("files", func(t *testing.T) {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			leaks(t, path, string(text), values)
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// TestProvisionCommand is the whole command against a stand-in for Cloudflare's API, with the real wrangler: what it prints, asks and writes,
// and that nobody sees a secret.
func TestProvisionCommand(t *testing.T) {
	c := provisiontest.Start(t)
	checkout := provisiontest.Checkout(t)
	manifest := filepath.Join(checkout, "wrangler.toml")
	before, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	gateway := secretValue("KANVAS_GATEWAY_SECRET")
	env := []string{"CLOUDFLARE_ACCOUNT_ID=" + provisiontest.Account, "CLOUDFLARE_API_TOKEN=" + provisiontest.Token, "KANVAS_CLOUDFLARE_API_URL=" + c.URL,
		"KANVAS_GATEWAY_SECRET=" + gateway, "KANVAS_ORIGINS=https://app.kanvas.test"}
	values := []string{provisiontest.Token, gateway}
	args := []string{"provision", "--data", dir, "--wrangler", manifest, "--env", "production", "--origin", "https://rooms.kanvas.test"}
	nothing := func(out string) {
		t.Helper()
		if wrote := provisiontest.Writes(c.Calls()); len(wrote) > 0 {
			t.Errorf("wrote %q\n%s", wrote, out)
		}
		if after, err := os.ReadFile(manifest); err != nil || !bytes.Equal(after, before) {
			t.Errorf("wrangler.toml was changed: %v", err)
		}
	}
	out, err := toolWith(t, env, append(args, "--dry-run")...)
	if err != nil || !strings.Contains(out, `create  D1 database "kanvas-db-production"`) || !strings.Contains(out, "nothing was changed") {
		t.Errorf("%v\n%s", err, out)
	}
	nothing(out)
	out, err = toolWith(t, env, args...)
	if err == nil || !strings.Contains(out, "--yes") {
		t.Errorf("without a terminal: %v\n%s", err, out)
	}
	nothing(out)
	stop := watch(t, values)
	out, err = toolWith(t, env, append(args, "--yes")...)
	stop()
	if err != nil || !strings.Contains(out, `done    Worker "infinite-kanvas"`) || !strings.Contains(out, filepath.Join(dir, "cloudflare.env")) {
		t.Errorf("%v\n%s", err, out)
	}
	leaks(t, "the output", out, values)
	after, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	leaks(t, "wrangler.toml", string(after), values)
	if worker := c.Workers["infinite-kanvas"]; worker == nil || worker.Secrets["GATEWAY_SECRET"] != gateway || worker.Vars["ORIGIN"] != "https://rooms.kanvas.test" || !strings.Contains(string(after), worker.Vars["DATABASE_ID"]) {
		t.Errorf("%+v", worker)
	}
	for name, v := range c.Workers["infinite-kanvas"].Vars {
		leaks(t, "variable "+name, v, values)
	}
	out, err = toolWith(t, env, append(args, "--yes")...)
	if err != nil || !strings.Contains(out, "everything is in place") {
		t.Errorf("%v\n%s", err, out)
	}
	for name, change := range map[string][]string{
		"CLOUDFLARE_ACCOUNT_ID": {"CLOUDFLARE_ACCOUNT_ID="}, "CLOUDFLARE_API_TOKEN": {"CLOUDFLARE_API_TOKEN="}, "Workers Scripts:Edit": {"KANVAS_CLOUDFLARE_API_URL=" + c.URL},
	} {
		c.Lock()
		c.Denied = []string{"Workers Scripts:Edit"}
		c.Unlock()
		if out, err := toolWith(t, append(slices.Clone(env), change...), args...); err == nil || !strings.Contains(out, name) {
			t.Errorf("%q is not in: %v\n%s", name, err, out)
		}
	}
}
