package commands

import "github.com/infinite-kanvas/kanvas/events"

// encode gives the commit its sum and returns its stored form.
func encode(c *events.Commit) ([]byte, error) { return events.Encode(c) }

// decode reads a record; its own sum is checked.
func decode(rec events.Record) (*events.Commit, error) {
	c, err := events.Decode(rec.Payload)
	if err != nil {
		return nil, err
	}
	c.Seq = rec.Seq
	return c, nil
}
