package auth

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

const (
	// GuestLife is how long a guest's token is good for. Past half of it GET /v1/me hands out a fresh one.
	GuestLife = 30 * 24 * time.Hour
	// MaxTokenLife bounds what Sign makes, for `kanvas token`.
	MaxTokenLife = 10 * 365 * 24 * time.Hour
	// MaxTokenBytes is the longest token that is looked at.
	MaxTokenBytes = 8 << 10
	// MinSecretBytes is the shortest server secret.
	MinSecretBytes = 32

	issuer = "kanvas"
	// leeway forgives clocks of other nodes that differ a little.
	leeway = 5 * time.Second
)

// ErrToken: the token is none of ours (forged, damaged, of another server). ErrExpired: it was ours and its time is over; the Identity
// returned beside ErrExpired is filled, so that a caller may treat its bearer as the guest it was, and nothing more.
var (
	ErrToken   = errors.New("auth: token is not valid")
	ErrExpired = errors.New("auth: token has expired")
)

// Identity is who a token speaks for.
type Identity struct {
	User     string    // user id
	Kind     string    // "guest", "local" or what another verifier says
	Name     string    // name in the token, where the issuer puts one there; ours do not
	IssuedAt time.Time // zero where unknown
	Expires  time.Time
}

// HalfLifeOver reports whether more than half of the token's life is behind now.
func (i Identity) HalfLifeOver(now time.Time) bool {
	return !i.IssuedAt.IsZero() && now.Sub(i.IssuedAt) > i.Expires.Sub(i.IssuedAt)/2
}

// TokenVerifier checks tokens of one issuer. It returns ErrToken for what is not its own and ErrExpired (with the Identity) for what was.
type TokenVerifier interface {
	Verify(ctx context.Context, token string) (Identity, error)
}

// Tokens signs and verifies this server's own tokens: JWT with HS256 and nothing else, under a key derived from the server's secret.
type Tokens struct {
	key    []byte
	kid    string
	now    func() time.Time
	parser *jwt.Parser
}

type claims struct {
	jwt.RegisteredClaims
	Kind string `json:"kind"`
}

// NewTokens derives the signing key from secret (at least MinSecretBytes). now gives the time; nil is the system's clock.
func NewTokens(secret []byte, now func() time.Time) (*Tokens, error) {
	key, err := derive(secret, "kanvas/token/v1")
	if err != nil {
		return nil, err
	}
	if now == nil {
		now = time.Now
	}
	id := sha256.Sum256(append([]byte("kanvas/kid/"), key...))
	return &Tokens{key: key, kid: hex.EncodeToString(id[:6]), now: now, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithIssuer(issuer), jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(), jwt.WithLeeway(leeway), jwt.WithTimeFunc(now), jwt.WithStrictDecoding(),
	)}, nil
}

// derive makes a 32-byte key for one purpose, so that no two uses of the secret share one.
func derive(secret []byte, purpose string) ([]byte, error) {
	if len(secret) < MinSecretBytes {
		return nil, fmt.Errorf("auth: the server secret has %d bytes, at least %d are needed", len(secret), MinSecretBytes)
	}
	key, err := hkdf.Key(sha256.New, secret, nil, purpose, 32)
	if err != nil {
		return nil, fmt.Errorf("auth: derive key for %s: %w", purpose, err)
	}
	return key, nil
}

// Sign makes a token of a user, good for ttl (at most MaxTokenLife). Kind is "guest" or "local".
func (t *Tokens) Sign(user, kind string, ttl time.Duration) (string, Identity, error) {
	if err := checkUser(user); err != nil {
		return "", Identity{}, err
	}
	if ttl <= 0 || ttl > MaxTokenLife {
		return "", Identity{}, fmt.Errorf("auth: life of a token must be above 0 and at most %s", MaxTokenLife)
	}
	now := t.now().UTC().Truncate(time.Second)
	id := Identity{User: user, Kind: kind, IssuedAt: now, Expires: now.Add(ttl).Truncate(time.Second)}
	tok := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{Kind: kind, RegisteredClaims: jwt.RegisteredClaims{
		Issuer: issuer, Subject: user, IssuedAt: jwt.NewNumericDate(id.IssuedAt), ExpiresAt: jwt.NewNumericDate(id.Expires),
	}})
	tok.Header["kid"] = t.kid
	signed, err := tok.SignedString(t.key)
	if err != nil {
		return "", Identity{}, fmt.Errorf("auth: sign token: %w", err)
	}
	return signed, id, nil
}

// Verify implements TokenVerifier for what Sign made.
func (t *Tokens) Verify(_ context.Context, token string) (Identity, error) {
	if len(token) == 0 || len(token) > MaxTokenBytes || strings.ContainsAny(token, "\r\n") { // which the decoder would skip: one token had many forms
		return Identity{}, ErrToken
	}
	var c claims
	_, err := t.parser.ParseWithClaims(token, &c, func(tok *jwt.Token) (any, error) {
		if tok.Header["kid"] != t.kid {
			return nil, ErrToken
		}
		return t.key, nil
	})
	// The signature is checked before the claims, so an expired token that gets here was signed by us. Anything wrong beside the
	// time makes it no token at all.
	expired := errors.Is(err, jwt.ErrTokenExpired) && !errors.Is(err, jwt.ErrTokenInvalidIssuer) && !errors.Is(err, jwt.ErrTokenUsedBeforeIssued)
	if err != nil && !expired {
		return Identity{}, ErrToken
	}
	if c.IssuedAt == nil || c.ExpiresAt == nil || checkUser(c.Subject) != nil || (c.Kind != "guest" && c.Kind != "local") {
		return Identity{}, ErrToken
	}
	id := Identity{User: c.Subject, Kind: c.Kind, IssuedAt: c.IssuedAt.Time, Expires: c.ExpiresAt.Time}
	if expired {
		return id, ErrExpired
	}
	return id, nil
}

// checkUser refuses ids that can't be a person's: not the name of a stream, the system's, or of the anonymous kind.
func checkUser(id string) error {
	if !events.ValidStreamID(id) || id == domain.SystemID || strings.HasPrefix(id, "anon:") {
		return fmt.Errorf("auth: %q cannot be a user id", id)
	}
	return nil
}

// Key is what the Worker in front needs to check these tokens before the server is bothered: the signing key, 64 characters of hex. A secret.
func (t *Tokens) Key() string { return hex.EncodeToString(t.key) }
