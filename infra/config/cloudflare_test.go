package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// onCloudflare is a whole configuration; every secret holds the word hunter2.
func onCloudflare() map[string]string {
	return map[string]string{
		"CLOUDFLARE_ACCOUNT_ID": "acc", "CLOUDFLARE_API_TOKEN": "hunter2-api", "D1_DATABASE_ID": "db", "KV_NAMESPACE_ID": "ns",
		"KANVAS_GATEWAY_SECRET": "hunter2-gateway-of-32-characters", "R2_ACCESS_KEY_ID": "key", "R2_SECRET_ACCESS_KEY": "hunter2-r2",
		"KV_REST_API_URL": "https://redis.example.com", "KV_REST_API_TOKEN": "hunter2-redis",
	}
}

func TestCloudflareFromTheEnvironment(t *testing.T) {
	c, err := load(t, onCloudflare())
	if err != nil {
		t.Fatal(err)
	}
	cf := c.Cloudflare
	if !cf.D1() || !cf.KV() || !cf.Objects() || cf.APIToken != "hunter2-api" || cf.R2.Bucket != "kanvas-images" ||
		cf.S3Endpoint() != "https://acc.r2.cloudflarestorage.com" || c.Upstash.Token != "hunter2-redis" || c.RatePrefix != "rate_limit" {
		t.Fatal("settings did not arrive")
	}
	if c, err := load(t, nil); err != nil || c.Cloudflare.D1() || c.Cloudflare.KV() || c.Cloudflare.Objects() {
		t.Errorf("without settings something of Cloudflare is on: %v", err)
	}
}

func TestSecretsHaveNoFlagAndAreNotShown(t *testing.T) {
	c, err := load(t, onCloudflare())
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, p := range c.Describe() {
		if strings.Contains(p[1], "hunter2") {
			t.Errorf("%s is shown", p[0])
		}
		if p[1] == "set" {
			shown++
		}
	}
	if shown != 4 {
		t.Errorf("%d secrets are said to be set, not 4", shown)
	}
	fs := flag.NewFlagSet("t", flag.ContinueOnError)
	Register(fs)
	fs.VisitAll(func(f *flag.Flag) {
		for _, word := range []string{"secret", "token"} {
			if strings.Contains(f.Name, word) {
				t.Errorf("--%s is a flag", f.Name)
			}
		}
	})
}

func TestHalfAConfigurationIsReported(t *testing.T) {
	for missing, want := range map[string]string{
		"CLOUDFLARE_ACCOUNT_ID": "CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_API_TOKEN": "CLOUDFLARE_API_TOKEN",
		"R2_ACCESS_KEY_ID": "R2_ACCESS_KEY_ID", "R2_SECRET_ACCESS_KEY": "R2_SECRET_ACCESS_KEY",
		"KV_REST_API_URL": "KV_REST_API_URL", "KV_REST_API_TOKEN": "KV_REST_API_TOKEN",
	} {
		env := onCloudflare()
		delete(env, missing)
		if _, err := load(t, env); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without %s: %v", missing, err)
		}
	}
	for name, value := range map[string]string{
		"KANVAS_GATEWAY_URL": "ftp://x", "KANVAS_R2_ENDPOINT": "s3", "R2_CUSTOM_DOMAIN": "https://u:hunter2@host", "KV_REST_API_URL": "redis://:hunter2@host",
		"KANVAS_CLOUDFLARE_API_URL": "https://host/?token=hunter2", "KANVAS_GATEWAY_SECRET": "hunter2-31-characters-are-too-f",
	} {
		env := onCloudflare()
		env[name] = value
		if _, err := load(t, env); err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
	env := onCloudflare()
	env["KANVAS_GATEWAY_URL"], env["CLOUDFLARE_API_TOKEN"] = "https://kanvas.example.workers.dev", ""
	if _, err := load(t, env); err != nil {
		t.Errorf("the gateway needs no API token: %v", err)
	}
}

func TestSettingsFromFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := onCloudflare()
	delete(env, "CLOUDFLARE_API_TOKEN")
	env["CLOUDFLARE_API_TOKEN_FILE"] = file
	if c, err := load(t, env); err != nil || c.Cloudflare.APIToken != "from-file" {
		t.Errorf("token from a file: %v", err)
	}
	env["CLOUDFLARE_API_TOKEN_FILE"] = file + ".gone"
	if _, err := load(t, env); err == nil || !strings.Contains(err.Error(), "CLOUDFLARE_API_TOKEN_FILE") {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := os.Truncate(file, maxSecretFile+1); err != nil {
		t.Fatal(err)
	}
	env["CLOUDFLARE_API_TOKEN_FILE"] = file
	if _, err := load(t, env); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("a file that is too large: %v", err)
	}
}

func TestRateKeysNameTheCaller(t *testing.T) {
	for identifier, ok := range map[string]bool{
		"{userId}:{action}": true, "{ip}": true, "{userId}": true, "{action}": false, "everybody": false, "{userId}:{room}": false, "{userId} x": false,
	} {
		if _, err := load(t, map[string]string{"KANVAS_RATE_IDENTIFIER": identifier}); (err == nil) != ok {
			t.Errorf("%q: %v", identifier, err)
		}
	}
	if _, err := load(t, map[string]string{"KANVAS_RATE_PREFIX": "a b"}); err == nil {
		t.Error("a prefix with a blank is accepted")
	}
}
