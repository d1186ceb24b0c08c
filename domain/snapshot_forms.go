package domain

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

var errForm = errors.New("not in the form that EncodeSnapshot writes")

// read reads a snapshot that is valid, compact JSON. encoding/json reads all but the elements, which it would take five times as long for.
func (f *snapshotForm) read(b []byte) error {
	if b[0] != '{' {
		return errForm
	}
	rest := append(make([]byte, 0, len(b)/4), '{')
	for i := 1; i < len(b) && b[i] == '"'; i++ {
		from := i
		colon := skipString(b, i)
		i = skipValue(b, colon+1)
		if string(b[from:colon]) == `"elements"` {
			var err error
			if f.Elements, err = readForms(b[colon+1 : i]); err != nil {
				return err
			}
		} else {
			if len(rest) > 1 {
				rest = append(rest, ',')
			}
			rest = append(rest, b[from:i]...)
		}
	}
	return json.Unmarshal(append(rest, '}'), f)
}

// readForms reads a list of what writer.element wrote. b is valid, compact JSON; anything unexpected is refused.
func readForms(b []byte) ([]elementForm, error) {
	if b[0] != '[' {
		return nil, errForm
	}
	var out []elementForm
	for i := 1; i < len(b) && b[i] != ']'; {
		if b[i] != '{' {
			return nil, errForm
		}
		end := skipValue(b, i)
		f, err := readForm(b[i:end])
		if err != nil {
			return nil, err
		}
		out = append(out, f)
		if i = end; i < len(b) && b[i] == ',' {
			i++
		}
	}
	return out, nil
}

const formE, formP, formG = `{"e":`, `,"p":[`, `],"g":`

func readForm(b []byte) (f elementForm, err error) {
	if !starts(b, 0, formE) {
		return f, errForm
	}
	i := skipValue(b, len(formE))
	f.E = b[len(formE):i:i]
	if !starts(b, i, formP) {
		return f, errForm
	}
	for i += len(formP) - 1; i < len(b) && b[i] != ']'; {
		from := i + 1
		for i = from; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		}
		n, err := strconv.ParseUint(string(b[from:i]), 10, 64)
		if err != nil {
			return f, fmt.Errorf("a provenance: %w", errForm)
		}
		f.P = append(f.P, n)
		if i >= len(b) || b[i] != ',' && b[i] != ']' {
			return f, errForm
		}
	}
	switch {
	case starts(b, i, formG):
		from := i + len(formG)
		end := skipValue(b, from)
		return f, json.Unmarshal(b[from:end], &f.G)
	case string(b[i:]) == "]}":
		return f, nil
	}
	return f, errForm
}

func starts(b []byte, i int, s string) bool {
	return len(b)-i >= len(s) && string(b[i:i+len(s)]) == s
}
