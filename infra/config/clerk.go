package config

import "fmt"

// Clerk says whose session tokens and webhooks count. Without it people are guests, or named by `kanvas token`.
type Clerk struct {
	SecretKey     string // secret; of Clerk's Backend API
	WebhookSecret string // secret; "whsec_…"
	JWKSURL       string // where the keys are published; empty: by the issuer, else the Backend API
	Issuer        string // of session tokens
	PEM           string // public key in place of published ones; not listed, as it has many lines
	APIURL        string // of the Backend API
	Parties       []string
}

// Sessions reports whether Clerk's session tokens are accepted.
func (c *Clerk) Sessions() bool {
	return c.PEM != "" || c.JWKSURL != "" || c.Issuer != "" || c.SecretKey != ""
}

func clerkSettings() []setting {
	text := func(env, flag, help string, secret bool, p func(*Config) *string) setting {
		return setting{flag: flag, env: env, help: help, secret: secret,
			set:  func(c *Config, v string) error { *p(c) = v; return nil },
			show: func(c *Config) string { return *p(c) }}
	}
	return []setting{
		text("CLERK_SECRET_KEY", "", "key of Clerk's Backend API: session keys, and names of people whose webhook has not come", true, func(c *Config) *string { return &c.Clerk.SecretKey }),
		text("CLERK_WEBHOOK_SECRET", "", "signing secret of the webhook to /api/clerk, whsec_…", true, func(c *Config) *string { return &c.Clerk.WebhookSecret }),
		text("CLERK_JWKS_URL", "clerk-jwks-url", "where Clerk publishes its session keys; empty: by the issuer, else the Backend API", false, func(c *Config) *string { return &c.Clerk.JWKSURL }),
		text("CLERK_ISSUER", "clerk-issuer", "issuer of session tokens, such as https://clerk.example.com", false, func(c *Config) *string { return &c.Clerk.Issuer }),
		text("CLERK_PEM", "", "public key of session tokens in PEM form: then nothing is fetched", true, func(c *Config) *string { return &c.Clerk.PEM }),
		text("CLERK_API_URL", "clerk-api-url", "Clerk's Backend API", false, func(c *Config) *string { return &c.Clerk.APIURL }),
		{flag: "clerk-authorized-parties", env: "CLERK_AUTHORIZED_PARTIES", help: "front ends whose session tokens count (azp), comma-separated; empty: all of the instance",
			set: func(c *Config, v string) error { c.Clerk.Parties = split(v); return nil }, show: func(c *Config) string { return join(c.Clerk.Parties) }},
	}
}

func (c *Clerk) problems() []error {
	var p []error
	for _, u := range []struct{ name, value string }{{"CLERK_JWKS_URL", c.JWKSURL}, {"CLERK_ISSUER", c.Issuer}, {"CLERK_API_URL", c.APIURL}} {
		if u.value != "" && !httpURL(u.value) {
			p = append(p, fmt.Errorf("%s: not an http(s) URL without user and query", u.name))
		}
	}
	if len(c.Parties) > 0 && !c.Sessions() {
		p = append(p, fmt.Errorf("CLERK_AUTHORIZED_PARTIES: no key of Clerk is set (CLERK_PEM, CLERK_JWKS_URL, CLERK_ISSUER or CLERK_SECRET_KEY)"))
	}
	return p
}
