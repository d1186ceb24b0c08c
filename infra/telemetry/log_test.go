package telemetry

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestFieldsOfTheGuide(t *testing.T) {
	var b bytes.Buffer
	Logger(&b, "info").Info("canvas_update", "roomId", "r", "userId", "u", "dataSize", 3)
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got["level"] != "info" || got["event"] != "canvas_update" || got["roomId"] != "r" || got["dataSize"] != 3.0 {
		t.Fatalf("%v", got)
	}
	if ms, ok := got["timestamp"].(float64); !ok || ms < 1.6e12 {
		t.Fatalf("timestamp %v is not in milliseconds", got["timestamp"])
	}
	if _, ok := got["time"]; ok {
		t.Fatal("two times")
	}
}

func TestLevel(t *testing.T) {
	var b bytes.Buffer
	Logger(&b, "warn").Info("quiet")
	if b.Len() != 0 {
		t.Fatalf("%s", b.String())
	}
}

func TestAnEventIsNamedOnce(t *testing.T) {
	var b bytes.Buffer
	Logger(&b, "info").With("node", 1).Warn("snapshot can't be used", "event", "snapshot_refused", "roomId", "r")
	if n := strings.Count(b.String(), `"event":`); n != 1 {
		t.Fatalf("%d names in %s", n, b.String())
	}
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got["event"] != "snapshot_refused" || got["message"] != "snapshot can't be used" || got["roomId"] != "r" || got["node"] != 1.0 {
		t.Fatalf("%v", got)
	}
}
