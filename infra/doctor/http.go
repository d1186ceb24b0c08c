package doctor

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"
)

const (
	skewWarn = 5 * time.Second // what tokens allow
	skewFail = time.Minute
)

// bare is an error of net/http without the address, which may be a secret.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// Clock compares this machine's clock with the Date of an answer. what names who is asked.
func Clock(what, address string) Check {
	return Check{Name: "clock", Run: func(ctx context.Context) []Finding {
		req, err := http.NewRequestWithContext(ctx, http.MethodHead, address, nil)
		if err != nil {
			return one(Fail("check the address of "+what, "%v", bare(err)))
		}
		before := time.Now()
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return one(Warn("see that this machine reaches "+what, "can't be compared: %s", late(bare(err))))
		}
		if err := res.Body.Close(); err != nil {
			return one(Warn("run it again", "%v", err))
		}
		theirs, err := http.ParseTime(res.Header.Get("Date"))
		if err != nil {
			return one(Warn("compare it by hand", "%s does not say what time it is", what))
		}
		return one(judgeClock(before, time.Now(), theirs))
	}}
}

// judgeClock: theirs is of some moment between before and after, cut to a second.
func judgeClock(before, after, theirs time.Time) Finding {
	const fix = "set it by NTP: signed requests and tokens need the right time"
	skew := time.Duration(0)
	switch {
	case theirs.Add(time.Second).Before(before):
		skew = before.Sub(theirs.Add(time.Second))
	case theirs.After(after):
		skew = theirs.Sub(after)
	}
	switch {
	case skew > skewFail:
		return Fail(fix, "is off by %s", skew.Round(time.Second))
	case skew > skewWarn:
		return Warn(fix, "is off by %s", skew.Round(time.Second))
	}
	return OK("agrees with that of Cloudflare to %s", skewWarn)
}
