package doctor

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/infinite-kanvas/kanvas/infra/clerk"
)

// ClerkKeys are the settings of Clerk. Empty ones are not looked at.
type ClerkKeys struct {
	SecretKey     string // CLERK_SECRET_KEY
	WebhookSecret string // CLERK_WEBHOOK_SECRET
	JWKSURL       string // CLERK_JWKS_URL
	Issuer        string // CLERK_ISSUER, which has them under /.well-known/jwks.json
	APIURL        string // CLERK_API_URL, which gives them for the secret key
	PEM           string // CLERK_PEM, a public key in place of them
}

const (
	clerkPage   = "copy it again from https://dashboard.clerk.com, API keys"
	webhookPage = "copy the signing secret again from https://dashboard.clerk.com, Webhooks"
	maxJWKS     = 256 << 10 // bytes
	minRSA      = 2048      // bits
)

var clerkSecret = regexp.MustCompile(`^sk_(test|live)_[A-Za-z0-9]{20,}$`)

// Clerk looks at the form of keys, and whether the public ones can be had.
func Clerk(k ClerkKeys) Check {
	return Check{Name: "clerk", Run: func(ctx context.Context) []Finding {
		var found []Finding
		if k.SecretKey != "" {
			found = append(found, clerkForm(k.SecretKey).Named("clerk secret key"))
		}
		if k.WebhookSecret != "" {
			found = append(found, webhookForm(k.WebhookSecret).Named("clerk webhook"))
		}
		if k.PEM != "" {
			return append(found, pemKey(k.PEM).Named("clerk public key"))
		}
		if address, secret := (&clerk.Config{JWKSURL: k.JWKSURL, Issuer: k.Issuer, APIURL: k.APIURL, SecretKey: k.SecretKey}).KeyAddress(); address != "" {
			found = append(found, jwks(ctx, address, secret).Named("clerk public keys"))
		}
		return found
	}}
}

func clerkForm(key string) Finding {
	if !clerkSecret.MatchString(key) {
		return Fail(clerkPage, "CLERK_SECRET_KEY is not of the form sk_live_… or sk_test_…")
	}
	if strings.HasPrefix(key, "sk_test_") {
		return Warn("take the key of the production instance before real people come", "is of a development instance")
	}
	return OK("has the right form")
}

func webhookForm(secret string) Finding {
	const shortest = 24 // bytes, as Svix makes them
	rest, found := strings.CutPrefix(secret, "whsec_")
	key, err := base64.StdEncoding.DecodeString(rest)
	if !found || err != nil || len(key) < shortest {
		return Fail(webhookPage, "CLERK_WEBHOOK_SECRET is not whsec_ and %d bytes or more in base64", shortest)
	}
	return OK("the signing secret has the right form")
}

func pemKey(text string) Finding {
	const fix = "take the PEM public key from https://dashboard.clerk.com, API keys; line ends may be written as \\n"
	block, _ := pem.Decode([]byte(strings.ReplaceAll(text, `\n`, "\n")))
	if block == nil {
		return Fail(fix, "is no PEM")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return Fail(fix, "is no public key")
	}
	if k, isRSA := key.(*rsa.PublicKey); !isRSA || k.N.BitLen() < minRSA {
		return Fail(fix, "is no RSA key of %d bits or more", minRSA)
	}
	return OK("is an RSA key")
}

func jwks(ctx context.Context, address, secret string) Finding {
	const fix = "check CLERK_JWKS_URL (the frontend API's address and /.well-known/jwks.json), CLERK_ISSUER or CLERK_SECRET_KEY"
	text, status, err := fetch(ctx, address, secret, maxJWKS)
	if err != nil {
		return Fail(fix, "can't be had: %s", late(err))
	}
	var set struct {
		Keys []struct{ Kid, Kty, N, E string }
	}
	if status != http.StatusOK || json.Unmarshal(text, &set) != nil {
		return Fail(fix, "the answer is no list of keys (HTTP %d)", status)
	}
	n := 0
	for _, k := range set.Keys {
		if k.Kty == "RSA" && k.N != "" && k.E != "" && k.Kid != "" {
			n++
		}
	}
	if n == 0 {
		return Fail(fix, "the list has no RSA key")
	}
	return OK("%d RSA keys", n)
}

// fetch gets at most so many bytes of an answer; secret, where there is one, is a bearer token.
func fetch(ctx context.Context, address, secret string, most int64) (text []byte, status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, 0, bare(err)
	}
	if secret != "" {
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	res, err := noRedirects.Do(req)
	if err != nil {
		return nil, 0, bare(err)
	}
	text, err = io.ReadAll(io.LimitReader(res.Body, most))
	return text, res.StatusCode, errors.Join(err, res.Body.Close())
}

var falKey = regexp.MustCompile(`^[0-9A-Za-z-]{8,}:[0-9A-Za-z]{16,}$`)

// Fal looks at the form of the key and whether fal.ai can be reached, without a call that costs.
func Fal(key, address string) Check {
	return Check{Name: "fal", Run: func(ctx context.Context) []Finding {
		form := OK("the key has the right form")
		if !falKey.MatchString(key) {
			form = Fail("copy it again from https://fal.ai/dashboard/keys", "FAL_KEY is not of the form ID:SECRET")
		}
		// Any answer shows that it is there; only what is sent with the key costs.
		if _, _, err := fetch(ctx, address, "", maxProbe); err != nil {
			return []Finding{form.Named("fal key"), Fail("see that this machine reaches "+address+" (DNS, firewall, HTTPS_PROXY)", "can't be reached: %s", late(err))}
		}
		return []Finding{form.Named("fal key"), OK("can be reached")}
	}}
}
