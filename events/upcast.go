package events

import (
	"encoding/json"
	"errors"
)

// unchanged is for versions that only added members which may be absent.
func unchanged(data json.RawMessage) (json.RawMessage, error) { return data, nil }

// removedToV2: version 1 of element.removed named one element, {"id":"a"}; version 2 names a list, {"ids":["a"]}.
func removedToV2(data json.RawMessage) (json.RawMessage, error) {
	var old struct {
		ID *string `json:"id"`
	}
	if err := json.Unmarshal(data, &old); err != nil {
		return nil, err
	}
	if old.ID == nil {
		return nil, errors.New("no id")
	}
	return append(appendStrings([]byte(`{"ids":`), []string{*old.ID}), '}'), nil
}
