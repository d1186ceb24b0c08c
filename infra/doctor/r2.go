package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/infinite-kanvas/kanvas/infra/r2"
)

const (
	objectProbe = "doctor/probe" // the bucket's lifecycle rules delete what is left below it
	checkKeys   = "check R2_ACCESS_KEY_ID, R2_SECRET_ACCESS_KEY and R2_BUCKET_NAME (kanvas provision writes them), and CLOUDFLARE_ACCOUNT_ID or KANVAS_R2_ENDPOINT"
	checkClock  = checkKeys + ", and this machine's clock"
	maxProbe    = 1 << 10 // bytes that are read of an answer
)

// R2 puts, gets and deletes an object, with keys and by signed addresses, asks for CORS as pages of the origins would, and looks whether the public
// domain ("": none) shows what isn't public.
func R2(b *r2.Bucket, origins []string, domain string) Check {
	return Check{Name: "r2", Timeout: 40 * time.Second, Run: func(ctx context.Context) []Finding {
		if err := b.Ping(ctx); err != nil {
			return one(Fail(checkKeys, "can't be reached: %s", late(err)))
		}
		found := one(OK("the bucket is there"))
		for _, part := range []struct {
			name, does, fix string
			try             func(context.Context, *r2.Bucket) error
		}{
			{"r2 objects", "put, get and delete work", "give the keys the permission Object Read & Write on the bucket", tryObject},
			{"r2 signed", "signed addresses work", checkClock, trySigned},
		} {
			if err := part.try(ctx, b); err != nil {
				found = append(found, Fail(part.fix, "%s", late(err)).Named(part.name))
			} else {
				found = append(found, OK("%s", part.does).Named(part.name))
			}
		}
		found = append(found, cors(ctx, b, origins).Named("r2 cors"))
		if domain != "" {
			found = append(found, exposed(ctx, b, domain).Named("r2 domain"))
		}
		return found
	}}
}

// exposed looks whether a public domain gives away more than pictures: snapshots are whole canvases, of private rooms too, under keys that can be guessed.
func exposed(ctx context.Context, b *r2.Bucket, domain string) Finding {
	word := fmt.Sprint(time.Now().UnixNano())
	key := "snapshots/doctor/" + word + ".json" // one of its own each time: domains have caches
	if err := b.Put(ctx, key, "application/json", strings.NewReader(word), int64(len(word))); err != nil {
		return Fail(checkKeys, "%s", late(err))
	}
	got, status, err := fetch(ctx, strings.TrimSuffix(domain, "/")+"/"+key, "", maxProbe)
	if left := b.Delete(ctx, key); left != nil {
		return Warn("delete it by hand, or run it again", "%s was not deleted: %s", key, late(left))
	}
	switch {
	case err != nil:
		return Fail("check R2_CUSTOM_DOMAIN, its DNS and certificate: pictures of public rooms are sent for there", "%s", late(err))
	case string(got) == word:
		return Fail("let it serve nothing but /images/ (a WAF custom rule for this host that blocks every other path), or connect no domain to the bucket and set R2_CUSTOM_DOMAIN to the Worker's address",
			"%s serves the whole bucket: below /snapshots/ anybody can read the canvases of private rooms", domain)
	}
	return OK("%s keeps what isn't a picture to itself (HTTP %d)", domain, status)
}

func tryObject(ctx context.Context, b *r2.Bucket) (err error) {
	word := fmt.Sprint(time.Now().UnixNano())
	if err := b.Put(ctx, objectProbe, "text/plain", strings.NewReader(word), int64(len(word))); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Delete(ctx, objectProbe)) }()
	body, _, err := b.Get(ctx, objectProbe, 0, -1)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(io.LimitReader(body, maxProbe))
	if err = errors.Join(err, body.Close()); err == nil && string(got) != word {
		err = errors.New("what was put is not what is got")
	}
	return err
}

func trySigned(ctx context.Context, b *r2.Bucket) (err error) {
	const key = objectProbe + "-signed"
	word := fmt.Sprint(time.Now().UnixNano())
	put, err := b.SignPut(ctx, key, "text/plain", int64(len(word)), time.Minute)
	if err != nil {
		return err
	}
	if _, err := send(ctx, put, []byte(word)); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	defer func() { err = errors.Join(err, b.Delete(ctx, key)) }()
	get, err := b.SignGet(ctx, key, time.Minute, r2.Answer{})
	if err != nil {
		return err
	}
	got, err := send(ctx, get, nil)
	if err != nil {
		return fmt.Errorf("get: %w", err)
	}
	if string(got) != word {
		return errors.New("what was put is not what is got")
	}
	return nil
}

// send makes a signed request. Errors don't hold its address, which is a right for who knows it.
func send(ctx context.Context, s r2.Signed, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, s.Method, s.URL, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the signed address is none")
	}
	req.Header = s.Header.Clone()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, bare(err)
	}
	got, err := io.ReadAll(io.LimitReader(res.Body, maxProbe))
	if err = errors.Join(err, res.Body.Close()); err == nil && res.StatusCode >= 300 {
		err = fmt.Errorf("answered %s", res.Status)
	}
	return got, err
}

func cors(ctx context.Context, b *r2.Bucket, origins []string) Finding {
	if len(origins) == 0 {
		return Warn("set KANVAS_ORIGINS to the origins of your pages, then run: kanvas provision", "no origin is configured: pages elsewhere can't upload by signed addresses")
	}
	put, err := b.SignPut(ctx, objectProbe+"-cors", "image/png", 1, time.Minute)
	if err != nil {
		return Fail(checkKeys, "%v", err)
	}
	for _, origin := range origins {
		req, err := http.NewRequestWithContext(ctx, http.MethodOptions, put.URL, nil)
		if err != nil {
			return Fail(checkKeys, "the signed address is none")
		}
		req.Header.Set("Origin", origin)
		req.Header.Set("Access-Control-Request-Method", "PUT")
		req.Header.Set("Access-Control-Request-Headers", "content-type")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return Fail(checkKeys, "%s", late(bare(err)))
		}
		if err := res.Body.Close(); err != nil {
			return Fail("run it again", "%v", err)
		}
		allowed := res.Header.Get("Access-Control-Allow-Origin")
		if res.StatusCode >= 300 || allowed != origin && allowed != "*" {
			return Fail(provisionIt+" (with this KANVAS_ORIGINS)", "the bucket does not let pages of %s upload", origin)
		}
	}
	return OK("pages of %s may upload", strings.Join(origins, ", "))
}
