package telemetry

import (
	"bytes"
	"encoding/json"
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
