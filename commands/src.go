package commands

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// assetScheme is how an element's src names an asset of ours in the log.
const assetScheme = "asset:"

// assetPath is where assets are served.
const assetPath = "/v1/assets/"

type sourceKind int

const (
	foreignSource sourceKind = iota // stays as it is: an http(s) URL, or none
	assetSource
	dataSource
)

// source is an element's src, read.
type source struct {
	kind  sourceKind
	asset string
	data  []byte // the data URL's text
}

var errSource = domain.Errorf(domain.CodeInvalidCommand, "src must be an http or https URL, an asset, or a picture as a data URL")

func (p *Preparation) readSource(value json.RawMessage) (source, error) {
	text, err := jsonText(value)
	if err != nil {
		return source{}, err
	}
	if isDataURL(text) {
		return source{kind: dataSource, data: text}, nil
	}
	if len(text) > domain.MaxElementBytes {
		return source{}, domain.Errorf(domain.CodeTooLarge, "src is larger than an element may be")
	}
	return p.readAddress(string(text))
}

func (p *Preparation) readAddress(s string) (source, error) {
	if s == "" {
		return source{}, nil
	}
	if id, ok := strings.CutPrefix(s, assetScheme); ok {
		return assetWith(id)
	}
	for _, base := range p.cfg.PublicURLs {
		if rest, ok := strings.CutPrefix(s, base); ok && strings.HasPrefix(rest, assetPath) {
			s = rest
			break
		}
	}
	if rest, ok := strings.CutPrefix(s, assetPath); ok {
		id, _, _ := strings.Cut(rest, "?") // a capability of old clients
		return assetWith(id)
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return source{}, errSource
	}
	return source{}, nil
}

func assetWith(id string) (source, error) {
	if !events.ValidStreamID(id) {
		return source{}, errSource
	}
	return source{kind: assetSource, asset: id}, nil
}

// jsonText returns a JSON string's text; without escapes it is a part of value.
func jsonText(value json.RawMessage) ([]byte, error) {
	n := len(value)
	if n < 2 || value[0] != '"' || value[n-1] != '"' {
		return nil, errSource
	}
	if body := value[1 : n-1]; bytes.IndexByte(body, '\\') < 0 {
		return body, nil
	}
	var s string
	if err := json.Unmarshal(value, &s); err != nil {
		return nil, errSource
	}
	return []byte(s), nil
}

// isDataURL reports whether text has the scheme data, in any case.
func isDataURL(text []byte) bool {
	return len(text) >= 5 && strings.EqualFold(string(text[:5]), "data:")
}
