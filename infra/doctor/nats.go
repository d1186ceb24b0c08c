package doctor

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// NATS looks whether an external server answers and has JetStream.
func NATS(address string) Check {
	return Check{Name: "nats", Run: func(ctx context.Context) []Finding {
		nc, err := nats.Connect(address, nats.Timeout(5*time.Second), nats.NoReconnect(), nats.Name("kanvas doctor"))
		if err != nil {
			return one(Fail("start it, or check KANVAS_NATS_URL (address, user, password)", "can't be reached: %s", hide(err.Error(), address)))
		}
		defer nc.Close()
		rtt, err := nc.RTT()
		if err != nil {
			return one(Fail("see the server's log", "does not answer: %s", hide(err.Error(), address)))
		}
		js, err := jetstream.New(nc)
		if err == nil {
			_, err = js.AccountInfo(ctx)
		}
		if err != nil {
			return one(Fail("start it with --jetstream, and let this user use it", "has no JetStream for us: %s", hide(late(err), address)))
		}
		return one(OK("answers in %s, with JetStream", rtt.Round(10*time.Microsecond)))
	}}
}

// hide takes the password of an address out of a message.
func hide(message, address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "the address is none"
	}
	message = strings.ReplaceAll(message, address, u.Redacted())
	if password, set := u.User.Password(); set && password != "" {
		message = strings.ReplaceAll(message, password, "xxxxx")
	}
	return message
}
