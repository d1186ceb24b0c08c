package config

import (
	"strings"
	"testing"
)

func TestClerkFromTheEnvironment(t *testing.T) {
	env := map[string]string{"CLERK_SECRET_KEY": "sk_hunter2", "CLERK_WEBHOOK_SECRET": "whsec_hunter2", "CLERK_ISSUER": "https://clerk.example.com",
		"CLERK_PEM": "-----BEGIN hunter2", "CLERK_AUTHORIZED_PARTIES": "https://a.example.com, https://b.example.com"}
	c, err := load(t, env)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Clerk.Sessions() || c.Clerk.WebhookSecret != "whsec_hunter2" || len(c.Clerk.Parties) != 2 || c.Clerk.Parties[1] != "https://b.example.com" {
		t.Errorf("settings did not arrive: %d parties", len(c.Clerk.Parties))
	}
	for _, p := range c.Describe() {
		if strings.Contains(p[1], "hunter2") {
			t.Errorf("%s is shown", p[0])
		}
	}
	if c, err := load(t, nil); err != nil || c.Clerk.Sessions() {
		t.Errorf("without settings sessions count: %v", err)
	}
	for name, value := range map[string]string{"CLERK_JWKS_URL": "keys", "CLERK_ISSUER": "https://user:hunter2@clerk.example.com", "CLERK_API_URL": "ftp://x", "CLERK_AUTHORIZED_PARTIES": "https://a.example.com"} {
		if _, err := load(t, map[string]string{name: value}); err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
}
