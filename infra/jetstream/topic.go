package jetstream

import (
	"fmt"

	"github.com/nats-io/nats.go"
)

// OpenTopic has hear called with what any node tells on a topic, this one too, until the Store is closed: one call at a time, which must not block. What is
// said is heard at once or never. tell may be called concurrently; an error means that nobody was told.
func (s *Store) OpenTopic(topic string, hear func(data []byte)) (tell func(data []byte) error, err error) {
	subject := peersPrefix + topic
	if _, err := s.live.Subscribe(subject, func(msg *nats.Msg) { hear(msg.Data) }); err != nil {
		return nil, fmt.Errorf("jetstream: subscription to %s: %w", topic, err)
	}
	if err := s.live.Flush(); err != nil {
		return nil, fmt.Errorf("jetstream: subscription to %s: %w", topic, err)
	}
	return func(data []byte) error {
		if err := s.live.Publish(subject, data); err != nil {
			return fmt.Errorf("jetstream: tell the other nodes: %w", err)
		}
		return nil
	}, nil
}
