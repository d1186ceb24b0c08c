package doctor

import (
	"context"
	"slices"
	"testing"
	"time"
)

// levels are the findings as "level check".
func levels(found []Finding) (list []string) {
	for _, f := range found {
		list = append(list, string(f.Level)+" "+f.Check)
	}
	return list
}

// run runs one check and expects these levels; it fails where something bad comes without a fix.
func run(t *testing.T, c Check, want ...string) []Finding {
	t.Helper()
	found := Run(context.Background(), []Check{c})
	if got := levels(found); !slices.Equal(got, want) {
		t.Errorf("%q, want %q\n%+v", got, want, found)
	}
	for _, f := range found {
		if (f.Level == LevelOK) != (f.Fix == "") || f.Message == "" {
			t.Errorf("%+v", f)
		}
	}
	return found
}

func TestChecksRunAtOnceInOrderToTheirDeadline(t *testing.T) {
	first, second := make(chan bool), make(chan bool)
	found := Run(context.Background(), []Check{
		{Name: "a", Run: func(context.Context) []Finding { // each waits for the other: one after the other they would never end
			close(first)
			<-second
			return []Finding{OK("1"), OK("2").Named("a2")}
		}},
		{Name: "b", Run: func(context.Context) []Finding { close(second); <-first; return one(OK("3")) }},
		{Name: "c", Timeout: time.Millisecond, Run: func(ctx context.Context) []Finding {
			<-ctx.Done()
			return one(Fail("wait", "%s", late(ctx.Err())))
		}},
	})
	if got := levels(found); !slices.Equal(got, []string{"ok a", "ok a2", "ok b", "fail c"}) || found[3].Message != "no answer in time" {
		t.Errorf("%+v", found)
	}
}

func TestClockIsJudged(t *testing.T) {
	now := time.Now()
	for off, want := range map[time.Duration]Level{
		0: LevelOK, -900 * time.Millisecond: LevelOK, 3 * time.Second: LevelOK, -5 * time.Second: LevelOK,
		-7 * time.Second: LevelWarn, 7 * time.Second: LevelWarn, 2 * time.Minute: LevelFail, -2 * time.Hour: LevelFail,
	} {
		if f := judgeClock(now, now.Add(50*time.Millisecond), now.Add(off)); f.Level != want {
			t.Errorf("%s: %+v", off, f)
		}
	}
}
