package ratelimit

import (
	"bytes"
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
)

//go:embed sliding.lua
var script string

// scriptSum is the name that Redis knows the script by once it has seen it.
var scriptSum = func() string { s := sha1.Sum([]byte(script)); return hex.EncodeToString(s[:]) }()

const (
	maxAnswer   = 64 << 10 // bytes
	idleConns   = 16
	maxReported = 200 // bytes of what the store says went wrong
)

// DefaultIdentifier makes keys of the form rate_limit:{userId}:{action}:{timeWindow} with the prefix "rate_limit".
const DefaultIdentifier = "{userId}:{action}"

// UpstashConfig says where a Redis REST store is and under which keys it counts.
type UpstashConfig struct {
	URL, Token string
	// Prefix and Identifier make the keys: prefix:identifier:number of the window. In Identifier {userId} is Caller.ID, {ip} Caller.IP and
	// {action} the limit's. One without {action} is that of a front end which counts a single thing, Action: other limits are counted under
	// DefaultIdentifier, or they would be added to it.
	Prefix, Identifier, Action string
	Now                        func() time.Time // nil: the system's clock
}

var _ commands.Limiter = (*Upstash)(nil)

// Upstash counts in a Redis REST store, together with whoever counts under the same keys. Safe for concurrent use.
type Upstash struct {
	c    UpstashConfig
	http *http.Client
}

// NewUpstash makes a client; nothing is asked yet. The caller calls Close.
func NewUpstash(c UpstashConfig) (*Upstash, error) {
	if c.URL == "" || c.Token == "" || c.Prefix == "" || c.Identifier == "" {
		return nil, errors.New("ratelimit: URL, token, prefix and identifier are needed")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.URL = strings.TrimSuffix(c.URL, "/") + "/"
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = idleConns
	return &Upstash{c: c, http: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the token goes nowhere else
	}}, nil
}

// Close drops idle connections.
func (u *Upstash) Close() { u.http.CloseIdleConnections() }

// key is what a window is counted under.
func (u *Upstash) key(limit commands.Limit, who commands.Caller, number int64) string {
	identifier := u.c.Identifier
	if limit.Action != u.c.Action && !strings.Contains(identifier, "{action}") {
		identifier = DefaultIdentifier
	}
	filled := strings.NewReplacer("{userId}", who.ID, "{ip}", who.IP, "{action}", limit.Action).Replace(identifier)
	return u.c.Prefix + ":" + filled + ":" + strconv.FormatInt(number, 10)
}

// Take implements commands.Limiter. It fails where the store can't be asked in time; after a count whose answer was lost, it may stand.
func (u *Upstash) Take(ctx context.Context, limit commands.Limit, who commands.Caller, n int) (commands.Taken, error) {
	now := u.c.Now().UnixMilli()
	keys := make([]string, 0, 2*len(limit.Windows))
	args := []string{strconv.FormatInt(now, 10), strconv.Itoa(n)}
	for _, w := range limit.Windows {
		per := w.Per.Milliseconds()
		keys = append(keys, u.key(limit, who, now/per), u.key(limit, who, now/per-1))
		args = append(args, strconv.Itoa(w.Max), strconv.FormatInt(per, 10))
	}
	answer, err := u.run(ctx, keys, args)
	if err != nil {
		return commands.Taken{}, fmt.Errorf("ratelimit: count %s: %w", limit.Action, err)
	}
	if len(answer) != 1+len(keys) {
		return commands.Taken{}, fmt.Errorf("ratelimit: the store answered %d numbers, not %d", len(answer), 1+len(keys))
	}
	t := u.taken(limit, answer, now, n)
	if t.OK != (answer[0] == 1) { // or what it never counts would pass for ever
		return commands.Taken{}, fmt.Errorf("ratelimit: count %s: the store's word is not what its numbers say", limit.Action)
	}
	return t, nil
}

// taken is what the numbers of the script's answer say.
func (u *Upstash) taken(limit commands.Limit, answer []int64, now int64, n int) commands.Taken {
	got := make([]counts, len(limit.Windows))
	for i, w := range limit.Windows {
		got[i] = counts{now / w.Per.Milliseconds(), answer[2*i+1], answer[2*i+2]}
		if answer[0] == 1 {
			got[i].current -= int64(n) // decide is told of what was before
		}
	}
	return decide(limit.Windows, got, now, n)
}

// run calls the script by its sum, and sends it where the store does not know it.
func (u *Upstash) run(ctx context.Context, keys, args []string) ([]int64, error) {
	rest := append(append([]string{strconv.Itoa(len(keys))}, keys...), args...)
	answer, err := u.command(ctx, append([]string{"EVALSHA", scriptSum}, rest...))
	var said *storeError
	if errors.As(err, &said) && strings.Contains(said.message, "NOSCRIPT") {
		answer, err = u.command(ctx, append([]string{"EVAL", script}, rest...))
	}
	return answer, err
}

// storeError is what the store answered instead of a result.
type storeError struct {
	status  int
	message string
}

func (e *storeError) Error() string {
	return fmt.Sprintf("the store answered %d: %.*s", e.status, maxReported, e.message)
}

func (u *Upstash) command(ctx context.Context, command []string) ([]int64, error) {
	body, err := json.Marshal(command)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.c.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+u.c.Token)
	req.Header.Set("Content-Type", "application/json")
	res, err := u.http.Do(req)
	if err != nil {
		return nil, err // net/http's errors hold the URL, not the headers
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Result []int64 `json:"result"`
		Error  string  `json:"error"`
	}
	err = json.Unmarshal(raw, &answer)
	switch {
	case answer.Error != "" || res.StatusCode != http.StatusOK:
		return nil, &storeError{res.StatusCode, answer.Error}
	case err != nil:
		return nil, fmt.Errorf("the store's answer: %w", err)
	}
	return answer.Result, nil
}
