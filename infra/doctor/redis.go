package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Upstash pings the Redis store over HTTP and runs a script in it, as the limits on rates do.
func Upstash(address, token string) Check {
	return Check{Name: "upstash", Run: func(ctx context.Context) []Finding {
		for _, command := range [][]string{{"PING"}, {"EVAL", "return 1", "0"}} {
			status, said, err := redis(ctx, address, token, command)
			switch {
			case err != nil:
				return one(Fail("check KV_REST_API_URL; until it answers, AI is closed and other limits are not shared", "can't be reached: %s", late(err)))
			case status == http.StatusUnauthorized || status == http.StatusForbidden:
				return one(Fail("check KV_REST_API_TOKEN (not the read-only one)", "refuses the token"))
			case status != http.StatusOK || said != "":
				return one(Fail("check that KV_REST_API_URL is the REST address of a Redis store, and its token may run scripts", "answers %d to %s: %.100s", status, command[0], said))
			}
		}
		return one(OK("answers and runs scripts"))
	}}
}

func redis(ctx context.Context, address, token string, command []string) (status int, said string, err error) {
	body, err := json.Marshal(command)
	if err != nil {
		return 0, "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0, "", bare(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := noRedirects.Do(req)
	if err != nil {
		return 0, "", bare(err)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxProbe))
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return 0, "", err
	}
	var answer struct {
		Result any
		Error  string
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return res.StatusCode, fmt.Sprintf("%d bytes that are no JSON of Upstash", len(text)), nil
	}
	if answer.Error == "" && answer.Result == nil {
		answer.Error = "no result"
	}
	return res.StatusCode, answer.Error, nil
}

// noRedirects keeps tokens with whom they are for.
var noRedirects = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
