package d1

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	cfd1 "github.com/cloudflare/cloudflare-go/v7/d1"
	"github.com/cloudflare/cloudflare-go/v7/option"

	"github.com/infinite-kanvas/kanvas/infra/cloudflare"
	"github.com/infinite-kanvas/kanvas/projections"
)

// result is what one statement gave.
type result struct {
	Success bool `json:"success"`
	Results struct {
		Columns []string `json:"columns"`
		Rows    [][]any  `json:"rows"`
	} `json:"results"`
	Meta struct {
		Duration    float64 `json:"duration"` // milliseconds
		RowsRead    float64 `json:"rows_read"`
		RowsWritten float64 `json:"rows_written"`
	} `json:"meta"`
}

// run executes statements as one atomic batch, once. An error that is not definite leaves open whether it was applied.
func (s *Store) run(ctx context.Context, operation string, list []projections.Statement) ([]result, error) {
	body, err := encode(list)
	if err != nil {
		return nil, err
	}
	var params cfd1.DatabaseRawParams
	var batch cfd1.DatabaseRawParamsBody
	params.AccountID.Value, params.AccountID.Present = s.client.Account(), true
	batch.Batch.Value, batch.Batch.Present = body, true
	params.Body = batch
	var answer []byte
	start := time.Now()
	_, err = s.service.Raw(ctx, s.database, params, option.WithResponseBodyInto(&answer))
	s.metrics.called(operation, len(list), len(body), time.Since(start))
	if err != nil {
		return nil, fmt.Errorf("d1: %s: %w", operation, err)
	}
	results, err := decode(answer, len(list))
	if err != nil {
		return nil, fmt.Errorf("d1: %s: %w", operation, &cloudflare.Error{Service: "d1", Kind: cloudflare.ErrUnknown, Message: err.Error()})
	}
	s.metrics.ran(list, results)
	return results, nil
}

// read is run for statements that change nothing, tried again where that may help.
func (s *Store) read(ctx context.Context, operation string, list ...projections.Statement) (results []result, err error) {
	err = s.client.Retry(ctx, func() error {
		results, err = s.run(ctx, operation, list)
		return err
	})
	return results, err
}

// encoded is JSON that is ready.
type encoded []byte

func (e encoded) MarshalJSON() ([]byte, error) { return e, nil }

// maxSafe is the largest integer that JSON on Cloudflare's side keeps exactly.
const maxSafe = 1 << 53

// maxSQL is the most bytes of SQL in a statement.
const maxSQL = 100_000

// encode writes the list for the API. What D1 can't take is refused here: ErrRejected.
func encode(list []projections.Statement) (encoded, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	b.WriteByte('[')
	for i := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := check(&list[i]); err != nil {
			return nil, err
		}
		args := list[i].Args
		if args == nil {
			args = []any{}
		}
		if err := enc.Encode(struct {
			SQL    string `json:"sql"`
			Params []any  `json:"params"`
		}{list[i].SQL, args}); err != nil {
			return nil, fmt.Errorf("d1: %w: %.100q: %w", projections.ErrRejected, list[i].SQL, err)
		}
	}
	b.WriteByte(']')
	return b.Bytes(), nil
}

func check(st *projections.Statement) error {
	bad := func(format string, a ...any) error {
		return fmt.Errorf("d1: %w: %.100q: %s", projections.ErrRejected, st.SQL, fmt.Sprintf(format, a...))
	}
	if len(st.SQL) > maxSQL {
		return bad("%d bytes of SQL, D1 takes %d", len(st.SQL), maxSQL)
	}
	if len(st.Args) > projections.MaxParams {
		return bad("%d parameters, D1 takes %d", len(st.Args), projections.MaxParams)
	}
	for _, v := range st.Args {
		switch v := v.(type) {
		case nil, string, float64:
		case int:
		case int64:
			if v > maxSafe || v < -maxSafe {
				return bad("integer %d is beyond 2^53", v)
			}
		default:
			return bad("a value of type %T", v)
		}
	}
	return nil
}

// decode reads an answer to n statements.
func decode(answer []byte, n int) ([]result, error) {
	var env struct {
		Result []result `json:"result"`
	}
	dec := json.NewDecoder(bytes.NewReader(answer))
	dec.UseNumber()
	if err := dec.Decode(&env); err != nil {
		return nil, fmt.Errorf("results can't be read: %w", err)
	}
	if len(env.Result) != n {
		return nil, fmt.Errorf("%d results of %d statements", len(env.Result), n)
	}
	for i := range env.Result {
		if !env.Result[i].Success {
			return nil, fmt.Errorf("statement %d did not succeed, and no error says why", i)
		}
		for _, row := range env.Result[i].Results.Rows {
			for j := range row {
				var err error
				if row[j], err = value(row[j]); err != nil {
					return nil, err
				}
			}
		}
	}
	return env.Result, nil
}

// value makes of JSON what a database/sql driver would give, but for reals without a fraction, which look like integers.
func value(v any) (any, error) {
	switch v := v.(type) {
	case nil, string:
		return v, nil
	case json.Number:
		if !strings.ContainsAny(v.String(), ".eE") {
			return v.Int64()
		}
		return v.Float64()
	}
	return nil, fmt.Errorf("a value of type %T in a row", v)
}

// text, integer and when read a column of a row that query gave; a wrong type gives the zero value and sets err.
func text(v any, err *error) string {
	s, ok := v.(string)
	if !ok && v != nil {
		*err = fmt.Errorf("d1: a column holds %T, not text", v)
	}
	return s
}

func integer(v any, err *error) int64 {
	n, ok := v.(int64)
	if !ok {
		*err = fmt.Errorf("d1: a column holds %T, not an integer", v)
	}
	return n
}

func when(v any, err *error) int64 {
	s := text(v, err)
	if s == "" {
		return 0
	}
	ms, ok := projections.ParseTime(s)
	if !ok {
		*err = fmt.Errorf("d1: %.40q is no time", s)
	}
	return ms
}
