package config

import (
	"strings"
	"testing"
	"time"
)

func TestFal(t *testing.T) {
	c, err := load(t, map[string]string{"FAL_KEY": "hunter2:hunter2", "KANVAS_FAL_MODELS": "a/b, c/d", "KANVAS_FAL_LIMITS": "2/1m,3/90m", "KANVAS_FAL_BUDGET": "7"})
	if err != nil {
		t.Fatal(err)
	}
	f := c.Fal
	if f.Key != "hunter2:hunter2" || len(f.Models) != 2 || f.Models[1] != "c/d" || len(f.Limits) != 2 || f.Limits[1].Per != 90*time.Minute || f.Limits[1].Max != 3 || f.Budget != 7 {
		t.Errorf("%+v", f)
	}
	for _, p := range c.Describe() {
		if strings.Contains(p[1], "hunter2") {
			t.Errorf("%s shows the key", p[0])
		}
	}
	if d, err := load(t, nil); err != nil || d.Fal.Limits[0].Max != 5 || d.Fal.Limits[1].Max != 15 || d.Fal.Limits[2].Max != 50 || d.Fal.Key != "" {
		t.Errorf("%+v %v", d.Fal, err)
	}
}

func TestBadFal(t *testing.T) {
	for name, value := range map[string]string{"KANVAS_FAL_LIMITS": "5", "KANVAS_FAL_BUDGET": "0", "FAL_KEY": "a b", "KANVAS_GENERATION_ANSWER": "10", "KANVAS_GENERATION_TIMEOUT": "1s"} {
		if _, err := load(t, map[string]string{name: value}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%q: %v", name, value, err)
		}
	}
	for _, bad := range []string{",", "0/1m", "5/1h,6/1m", "5/1m,5/1m", "5/1ms", "5/9999h", "-1/1m", "5/x", strings.Repeat("1/1s,", 9)} {
		if _, err := parseWindows(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
