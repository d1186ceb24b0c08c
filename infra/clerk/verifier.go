package clerk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Errors of Verify. ErrToken: no session token of this Clerk instance. ErrExpired: it was one; the Session beside it is filled.
var (
	ErrToken   = errors.New("clerk: token is not valid")
	ErrExpired = errors.New("clerk: token has expired")
)

const (
	// leeway forgives clocks that differ a little.
	leeway = 5 * time.Second
	// maxToken is the longest token that is looked at, in bytes.
	maxToken = 8 << 10
	// apiURL is Clerk's Backend API.
	apiURL = "https://api.clerk.com"
)

// Config says whose tokens count. One of PEM, JWKSURL, Issuer and SecretKey is needed for keys, looked at in this order.
type Config struct {
	PEM       string // public key: no network
	JWKSURL   string // where the keys are published
	Issuer    string // "iss" of tokens; "": whoever signs with a good key
	SecretKey string // of the Backend API
	APIURL    string // of the Backend API; "": Clerk's
	Parties   []string
	Client    *http.Client     // nil: one of its own
	Clock     func() time.Time // nil: the system's
}

// Session is whom a session token speaks for.
type Session struct {
	User              string
	IssuedAt, Expires time.Time
}

// Verifier checks Clerk's session tokens: RS256 and nothing else.
type Verifier struct {
	keys    keySource
	parties []string
	parser  *jwt.Parser
}

// NewVerifier asks nobody yet: keys are fetched with the first token.
func NewVerifier(c Config) (*Verifier, error) {
	c = c.withDefaults()
	v := &Verifier{parties: c.Parties}
	if c.PEM != "" {
		k, err := parsePEM(c.PEM)
		if err != nil {
			return nil, err
		}
		v.keys = fixedKey{k}
	} else {
		address, secret := c.KeyAddress()
		if u, err := url.Parse(address); err != nil || u.Host == "" {
			return nil, errors.New("clerk: none of a PEM key, the address of a key set, an issuer or a secret key is set")
		}
		v.keys = newKeySet(address, secret, c.Client, c.Clock)
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods([]string{jwt.SigningMethodRS256.Alg()}), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithLeeway(leeway), jwt.WithTimeFunc(c.Clock), jwt.WithStrictDecoding(),
	}
	if c.Issuer != "" {
		options = append(options, jwt.WithIssuer(strings.TrimSuffix(c.Issuer, "/")))
	}
	v.parser = jwt.NewParser(options...)
	return v, nil
}

func (c Config) withDefaults() Config {
	if c.APIURL == "" {
		c.APIURL = apiURL
	}
	if c.Client == nil {
		c.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return c
}

// KeyAddress is where the keys are; the secret key goes to the Backend API alone.
func (c *Config) KeyAddress() (address, secret string) {
	switch {
	case c.JWKSURL != "":
		return c.JWKSURL, ""
	case c.Issuer != "":
		return strings.TrimSuffix(c.Issuer, "/") + "/.well-known/jwks.json", ""
	case c.SecretKey != "":
		return strings.TrimSuffix(c.APIURL, "/") + "/v1/jwks", c.SecretKey
	}
	return "", ""
}

type claims struct {
	jwt.RegisteredClaims
	Azp    string `json:"azp"`
	Status string `json:"sts"`
}

// Verify returns whom the token speaks for. Errors beside ErrToken and ErrExpired mean that Clerk's keys could not be had.
func (v *Verifier) Verify(ctx context.Context, token string) (Session, error) {
	if len(token) == 0 || len(token) > maxToken || !plain(token) {
		return Session{}, ErrToken
	}
	var c claims
	var unreachable error
	_, err := v.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		if typ, there := t.Header["typ"]; there && typ != "JWT" { // an access token of OAuth is "at+jwt": it is for another purpose
			return nil, ErrToken
		}
		kid, _ := t.Header["kid"].(string)
		k, err := v.keys.key(ctx, kid)
		if err != nil && !errors.Is(err, errNoKey) {
			unreachable = err
		}
		return k, err
	})
	if unreachable != nil {
		return Session{}, unreachable
	}
	// The signature is checked before the claims: a token that has merely expired was Clerk's. Anything else wrong makes it none.
	expired := errors.Is(err, jwt.ErrTokenExpired)
	for _, other := range []error{jwt.ErrTokenInvalidIssuer, jwt.ErrTokenUsedBeforeIssued, jwt.ErrTokenNotValidYet, jwt.ErrTokenRequiredClaimMissing} {
		expired = expired && !errors.Is(err, other)
	}
	if err != nil && !expired || !v.meansUs(&c) {
		return Session{}, ErrToken
	}
	s := Session{User: c.Subject, Expires: c.ExpiresAt.Time}
	if c.IssuedAt != nil {
		s.IssuedAt = c.IssuedAt.Time
	}
	if expired {
		return s, ErrExpired
	}
	return s, nil
}

// meansUs: made for one of our front ends, by somebody who has finished signing in.
func (v *Verifier) meansUs(c *claims) bool {
	return c.Subject != "" && c.Status != "pending" && (len(v.parties) == 0 || slices.Contains(v.parties, c.Azp))
}

// plain: nothing but what tokens are made of. The base64 decoder would skip ends of lines, so that one token had many forms.
func plain(token string) bool {
	return !strings.ContainsFunc(token, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	})
}

// String keeps a Config from being printed with its keys.
func (c Config) String() string { return fmt.Sprintf("clerk(parties %q)", c.Parties) }
