package config

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// Cloudflare says where D1, KV and R2 are. What is not set stays on this machine: SQLite, JetStream KV, a directory.
type Cloudflare struct {
	Account       string
	APIToken      string // secret; of the public API
	APIURL        string // of the public API
	GatewayURL    string // of a gateway Worker in front of D1 and KV; empty: the public API
	GatewaySecret string // secret; what the gateway Worker asks for
	Budget        int    // calls of the public API in any five minutes, of this server
	D1Database    string
	KVNamespace   string
	R2            R2
}

// R2 says where the object store is: R2, or anything else that speaks S3.
type R2 struct {
	Endpoint  string // empty: that of the account
	AccessKey string
	SecretKey string // secret
	Bucket    string
	Domain    string // https origin under which public pictures are served; empty: this server serves them
}

// Upstash is a Redis store over HTTP for rate limits.
type Upstash struct {
	URL   string
	Token string // secret
}

// minGatewaySecret is what the Worker takes for a secret, in bytes.
const minGatewaySecret = 32

// D1 reports whether the tables are also kept in D1.
func (c *Cloudflare) D1() bool { return c.D1Database != "" }

// KV reports whether cache entries go to Cloudflare's KV.
func (c *Cloudflare) KV() bool { return c.KVNamespace != "" }

// Objects reports whether objects are kept in R2.
func (c *Cloudflare) Objects() bool { return c.R2.AccessKey != "" || c.R2.SecretKey != "" }

// S3Endpoint is where R2 speaks S3.
func (c *Cloudflare) S3Endpoint() string {
	if c.R2.Endpoint != "" {
		return c.R2.Endpoint
	}
	return "https://" + c.Account + ".r2.cloudflarestorage.com"
}

// cloudflareSettings are the entries of Cloudflare and of the stores beside it.
func cloudflareSettings() []setting {
	text := func(env, flag, help string, p func(*Config) *string) setting {
		return setting{flag: flag, env: env, help: help,
			set:  func(c *Config, v string) error { *p(c) = v; return nil },
			show: func(c *Config) string { return *p(c) }}
	}
	hidden := func(env, help string, p func(*Config) *string) setting {
		s := text(env, "", help, p)
		s.secret = true
		return s
	}
	number := func(env, flag, help string, p func(*Config) *int) setting {
		return setting{flag: flag, env: env, help: help,
			set: func(c *Config, v string) (err error) {
				if *p(c), err = strconv.Atoi(v); err != nil {
					return errors.New("is not a whole number")
				}
				return nil
			}, show: func(c *Config) string { return strconv.Itoa(*p(c)) }}
	}
	return []setting{
		text("CLOUDFLARE_ACCOUNT_ID", "cloudflare-account", "Cloudflare account that D1, KV and R2 are in", func(c *Config) *string { return &c.Cloudflare.Account }),
		hidden("CLOUDFLARE_API_TOKEN", "token of Cloudflare's API with D1 and KV edit rights", func(c *Config) *string { return &c.Cloudflare.APIToken }),
		text("KANVAS_CLOUDFLARE_API_URL", "cloudflare-api-url", "Cloudflare's API", func(c *Config) *string { return &c.Cloudflare.APIURL }),
		text("KANVAS_GATEWAY_URL", "gateway-url", "the Kanvas Worker, which reaches D1 and KV without the API's budget of calls; empty: Cloudflare's API", func(c *Config) *string { return &c.Cloudflare.GatewayURL }),
		hidden("KANVAS_GATEWAY_SECRET", "secret shared with the Worker, at least 32 characters: its gateway asks for it, and by it we know the Worker and sign addresses of pictures", func(c *Config) *string { return &c.Cloudflare.GatewaySecret }),
		number("KANVAS_CLOUDFLARE_BUDGET", "cloudflare-budget", "calls of Cloudflare's API in five minutes, of the account's 1,200; divide it among nodes", func(c *Config) *int { return &c.Cloudflare.Budget }),
		text("D1_DATABASE_ID", "d1-database", "D1 database that the tables are also kept in; empty: none", func(c *Config) *string { return &c.Cloudflare.D1Database }),
		text("KV_NAMESPACE_ID", "kv-namespace", "KV namespace of the cache; empty: in this server", func(c *Config) *string { return &c.Cloudflare.KVNamespace }),
		text("R2_ACCESS_KEY_ID", "r2-access-key", "access key of the object store; empty: a directory below --data", func(c *Config) *string { return &c.Cloudflare.R2.AccessKey }),
		hidden("R2_SECRET_ACCESS_KEY", "secret key of the object store", func(c *Config) *string { return &c.Cloudflare.R2.SecretKey }),
		text("R2_BUCKET_NAME", "r2-bucket", "bucket of the object store", func(c *Config) *string { return &c.Cloudflare.R2.Bucket }),
		text("KANVAS_R2_ENDPOINT", "r2-endpoint", "S3 endpoint; empty: the account's R2", func(c *Config) *string { return &c.Cloudflare.R2.Endpoint }),
		text("R2_CUSTOM_DOMAIN", "r2-domain", "origin under which the bucket's public pictures are served, and nothing of it outside of /images/; empty: by this server", func(c *Config) *string { return &c.Cloudflare.R2.Domain }),
		text("KV_REST_API_URL", "upstash-url", "Upstash-style Redis store that rate limits are counted in; empty: in the log's engine", func(c *Config) *string { return &c.Upstash.URL }),
		hidden("KV_REST_API_TOKEN", "token of that store", func(c *Config) *string { return &c.Upstash.Token }),
		text("KANVAS_RATE_PREFIX", "rate-prefix", "start of the keys that rate limits are counted under", func(c *Config) *string { return &c.RatePrefix }),
		text("KANVAS_RATE_IDENTIFIER", "rate-identifier", "rest of these keys, of {userId}, {ip} and {action}; one without {action} is for AI alone", func(c *Config) *string { return &c.RateIdentifier }),
	}
}

func (c *Cloudflare) problems() []error {
	var p []error
	bad := func(format string, a ...any) { p = append(p, fmt.Errorf(format, a...)) }
	for _, u := range []struct{ name, value string }{
		{"KANVAS_CLOUDFLARE_API_URL", c.APIURL}, {"KANVAS_GATEWAY_URL", c.GatewayURL}, {"KANVAS_R2_ENDPOINT", c.R2.Endpoint},
		{"R2_CUSTOM_DOMAIN", c.R2.Domain},
	} {
		if u.value != "" && !httpURL(u.value) {
			bad("%s: not an http(s) URL without user and query", u.name)
		}
	}
	if c.GatewaySecret != "" && len(c.GatewaySecret) < minGatewaySecret {
		bad("KANVAS_GATEWAY_SECRET: has %d characters, at least %d are needed", len(c.GatewaySecret), minGatewaySecret)
	}
	if c.Budget < 10 || c.Budget > 1200 {
		bad("KANVAS_CLOUDFLARE_BUDGET: %d is not 10 to 1200", c.Budget)
	}
	if c.D1() || c.KV() {
		if c.Account == "" {
			bad("CLOUDFLARE_ACCOUNT_ID: D1 and KV need it")
		}
		switch {
		case c.GatewayURL != "" && c.GatewaySecret == "":
			bad("KANVAS_GATEWAY_SECRET: the gateway at KANVAS_GATEWAY_URL needs it")
		case c.GatewayURL == "" && c.APIToken == "":
			bad("CLOUDFLARE_API_TOKEN: D1 and KV need it (or KANVAS_GATEWAY_URL)")
		}
	}
	if c.Objects() {
		if c.R2.AccessKey == "" || c.R2.SecretKey == "" {
			bad("R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY: both are needed, or none")
		}
		if c.Account == "" && c.R2.Endpoint == "" {
			bad("CLOUDFLARE_ACCOUNT_ID: R2 needs it (or KANVAS_R2_ENDPOINT)")
		}
		if c.R2.Bucket == "" {
			bad("R2_BUCKET_NAME: a name is needed")
		}
	}
	return p
}

func (u *Upstash) problems() []error {
	switch {
	case u.URL == "" && u.Token == "":
		return nil
	case u.URL == "" || u.Token == "":
		return []error{fmt.Errorf("KV_REST_API_URL and KV_REST_API_TOKEN: both are needed, or none")}
	case !httpURL(u.URL):
		return []error{fmt.Errorf("KV_REST_API_URL: not an http(s) URL without user and query")}
	}
	return nil
}

// rateKeyProblems: keys that name nobody would let one caller use up everybody's limit.
func (c *Config) rateKeyProblems() []error {
	var p []error
	if c.RatePrefix == "" || strings.ContainsFunc(c.RatePrefix, unicode.IsSpace) {
		p = append(p, fmt.Errorf("rate-prefix: %q is empty or has blanks", c.RatePrefix))
	}
	rest := strings.NewReplacer("{userId}", "", "{ip}", "", "{action}", "").Replace(c.RateIdentifier)
	if !strings.Contains(c.RateIdentifier, "{userId}") && !strings.Contains(c.RateIdentifier, "{ip}") || strings.ContainsAny(rest, "{}") || strings.ContainsFunc(rest, unicode.IsSpace) {
		p = append(p, fmt.Errorf("rate-identifier: %q must name the caller by {userId} or {ip}, and may hold {action}", c.RateIdentifier))
	}
	return p
}

// httpURL does not say what is wrong: the value may hold a secret.
func httpURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") && u.User == nil && u.RawQuery == "" && u.Fragment == ""
}
