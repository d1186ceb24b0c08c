package jetstream

import (
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
)

const (
	peersPrefix = "peers." // no stream takes these: what is said is heard at once or never
	peerGone    = 20 * time.Second
	peersKnown  = 2 // exchanges after which everybody who is there has been heard
)

// Peers is how nodes on one external log tell each other what no log holds. Each says its own again and again, more often than every 20 s; who has been
// quiet for that long is gone. Safe for concurrent use.
type Peers struct {
	store   *Store
	subject string
	me      string

	mu     sync.Mutex
	rounds int
	heard  map[string]heard // by node
}

type heard struct {
	data []byte
	at   time.Time
}

// OpenPeers listens to the other nodes on a topic, until the Store is closed.
func (s *Store) OpenPeers(topic string) (*Peers, error) {
	p := &Peers{store: s, subject: peersPrefix + topic + ".", me: uuid.NewString(), heard: map[string]heard{}}
	if _, err := s.live.Subscribe(p.subject+"*", p.hear); err != nil {
		return nil, fmt.Errorf("jetstream: subscription to %s: %w", topic, err)
	}
	return p, nil
}

func (p *Peers) hear(msg *nats.Msg) {
	node := msg.Subject[len(p.subject):]
	if node == p.me {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard[node] = heard{msg.Data, time.Now()}
}

// Exchange says this node's part and returns what the others said last. first is true for one of the nodes, whichever it is, once it has
// had the time to hear of the others. An error means that nobody could be told; what was heard holds all the same.
func (p *Peers) Exchange(mine []byte) (others [][]byte, first bool, err error) {
	err = p.store.live.Publish(p.subject+p.me, mine)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rounds++
	first = p.rounds > peersKnown
	for node, h := range p.heard {
		if time.Since(h.at) > peerGone {
			delete(p.heard, node)
			continue
		}
		others = append(others, h.data)
		first = first && p.me < node
	}
	if err != nil {
		err = fmt.Errorf("jetstream: tell the other nodes: %w", err)
	}
	return others, first, err
}
